"""What lives on a legacy platform, read once and gently, and what that says of its move.

    facts      what one account is, as it was read
    reading    one account: a few small commands over IMAP, one list over POP3
    taking     all accounts of a backend, through the pacing of the copy; goes on where it was broken off
    ties       domains that aliases, forwards and lists tie together
    duration   how long a domain takes: measured costs, and how far measured rounds were from them
    risk       a score with its reasons, from a table of weights
    report     all of that, domain by domain
    tables     `migration_census`

Invariants
    * Nothing is written on the platform: EXAMINE, STATUS, LIST, FETCH of sizes; over POP3 LIST and UIDL.
    * An account that cannot be read is a line of the report, never the end of it.
    * Who forwards or leaves mail is no secret, but no text of a message is ever asked for.

Crash table: one row for each account, written whole when it was read.

    dies                          true then                    the next run
    while an account is read      it has no row, or an old one reads it
    after its row was written     it has its row               leaves it (but with --again), reads the others
"""
