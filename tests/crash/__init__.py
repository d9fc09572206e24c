"""Crashes: what a platform, and its store alone, keep of their promises when they are killed or lose their disk.

    ledger.py    the oracle, outside of the platform: what was acknowledged, what may be, what anybody has seen
    imap.py      a plain IMAP client that says which of its commands was answered, and how
    clients.py   clients under load: SMTP, LMTP, IMAP writers, an IMAP reader; each notes what it was told
    inspection.py  after a restart: the whole platform over IMAP against the ledger
    nursery.py   starts workers of the platform by fork, armed to die behind a named step
    workers.py   starts, kills and buries those
    power.py     `make power-drill`: the power fails, on loop images of ext4 and XFS
    gate.py      holds a worker's system calls back: each may pass, fail, or be the last
    script.py    every verb that changes something, once, one after the other
    faults.py    `make fault-drill`: each fsync, rename, link, unlink and write of the script in turn fails or kills
    disks.py     a shard's disk that is full, or turns read-only, under load
    backup.py    `make backup-drill`: points taken under load, restored into an empty platform, compared
    drill.py     `make crash-drill`: kill, restart, compare, a thousand times; prints its counts, exits 1
    test_drill.py, test_faults.py, test_disks.py, test_backup.py  short forms of them

A message carries its token and the digest of its body: whoever reads it knows whether it is whole and whose it is.
What was not answered may have happened once or not at all; what the next inspection finds is from then on the truth.
"""
