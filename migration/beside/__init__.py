"""What an account has beside its mail: Sieve scripts, rights of others on its mailboxes, whom a vacation answered.

    carrier     brings all three over, at each comparison before READY and inside the fence; compares them
    scripts     from ManageSieve or a mount;  rights, mapping: from GETACL or a mount, as rights of ours
    answers     from a mount: Pigeonhole's memory of answers
    kept        what was found and what was left, one row a kind: for the certificate, and where a way back begins
    giving      the way back: what changed here since
    findings    what a certificate says of it

Before the commit all of it is a copy: nothing here reads it while the account lives on the backend, so half of it is
as good as none, and the next time brings it anew. A source of it that cannot be read stops no move: what was brought
last stays, the certificate says why it is not newer. Mail does not wait for scripts.

Rights are never wider here than there. What cannot be given here as it is there is left, by name and with the reason.

Rows of the crash table (migration/__init__.py):

    step              the row         true then                          the next start
    beside.scripts    TRACKING..      scripts here are those there       brings them anew
                      FENCED          the same                           the fence is taken back; the next brings anew
    beside.rights     the same        rights of one mailbox or more      the same
    beside.answers    the same        all three, and what was found      the same
    back.scripts      NEW             scripts there are those here       compares anew, sends what still differs
    back.rights       NEW             rights there as here               the same
    back.forgotten    LEGACY          nothing of it is here any more     the same

What must never happen: a right that somebody did not have there; a script that was changed on the way; scripts or
rights removed there that were not removed here.
"""
