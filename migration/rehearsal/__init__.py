"""A rehearsal: before an account moves, what its clients ask is asked of both sides, and what would differ is listed.

    doors       our own IMAP and POP3 servers over the copy, for this process alone
    script      what is asked: the reading commands that clients send, the same for every account
    answers     what came, in a normal form: by key, without what may differ from session to session
    structure   BODYSTRUCTURE, in three degrees of detail
    judgement   would a client notice this difference?
    pop3        the same over POP3
    rehearse    one account, mailbox by mailbox

Only accounts that are READY: copied, compared, still living on the backend. What was read of one that has left that
state meanwhile is thrown away; no cutover waits for a rehearsal.

The backend is asked as the user, by its master user, with EXAMINE and BODY.PEEK: nothing is marked as read. A POP3
login takes \\Recent away there, as each of its user's does, and nothing else.

The copy is served by the very code of the doors, over a pair of connected sockets inside this process: no address to
connect to, no password, and none of the doors that users know has changed. Nothing can be written: an IMAP session
may only read (access/imap/reading.py), and both go under epoch 0, which no shard ever granted, so that the store
refuses any write. SEARCH of texts is not asked: it would mark the mailbox as one whose text is to be kept.

Nothing is kept of a rehearsal but a line in the audit log, before anything is read.

What must never happen: a flag set, a message removed or an epoch granted, on either side; a user who reaches a copy.
"""
