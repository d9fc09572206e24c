"""The proof of the migration engine: a live legacy platform moves, and an oracle outside of both compares.

    stage.py       a real Dovecot, Postfix in front of it, our platform in front of both; engines of its own
    oracle.py      clients with caches (IMAP, POP3), clients in IDLE, and how long clients waited
    cutovers.py    `make cutover-drill N=1000`: a fault at each transition of a cutover
    arms.py        where those faults happen
    faults.py      what they are
    tally.py       what became of them
    migration.py   `make migration-drill`: the whole life of 200 accounts in 20 domains, three waves, one way back
    test_cutovers.py, test_migration.py  short forms of both

Ledger, clients under load and the comparison are those of the crash drills (tests/crash): they speak to our doors
alone and know nothing of homes. What an account shows must be the same whoever serves it.
"""
