"""What people's mail is sorted by: their scripts, and whom a vacation has answered.

    scripts     names, octets and which one is active, of each account (RFC 5804)
    vacation    who was answered, until when (RFC 5230 4.2)
    tables      both in the platform's database; their revision is 0016

Scripts are kept byte for byte and are not looked into here: one that does not compile is kept as well as one that
does. They lie in the platform's database and not in a shard, so they need not move with the mail; who removes an
account removes them.

Invariants: at most one script of an account is active; the active one is there. What must never happen: a script
changed by storing it.
"""
