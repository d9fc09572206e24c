"""Crashes: what a platform, and its store alone, keep of their promises when they are killed or lose their disk.

    ledger.py    the oracle, outside of the platform: what was acknowledged, what may be, what anybody has seen
    imap.py      a plain IMAP client that says which of its commands was answered, and how
    clients.py   clients under load: SMTP, LMTP, IMAP writers, an IMAP reader; each notes what it was told
    inspection.py  after a restart: the whole platform over IMAP against the ledger
    nursery.py   starts workers of the platform by fork, armed to die behind a named step
    drill.py     `make crash-drill`: kill, restart, compare, a thousand times; prints its counts, exits 1
    test_drill.py  a short form of it

A message carries its token and the digest of its body: whoever reads it knows whether it is whole and whose it is.
What was not answered may have happened once or not at all; what the next inspection finds is from then on the truth.
"""
