"""The way back: an account that moved here goes home to its backend, with all that happened since.

    returning    one account's way back at work
    travel       rounds while users go on working here, fence, commit, and what is tidied up behind it
    round        one round: names, then new mail and flags of every mailbox, then what is gone, subscriptions
    names        mailboxes renamed, made and deleted here since
    mail         one mailbox: new messages in UID order, flags
    judgement    what is on the backend above the last UID that went back: ours, a filler, or a stray
    check        both sides compared before the commit
    preview      what would go back, from the store alone

What went on here is read from the store (origins.py); the backend's side is read anew in each round. A UID there is
the UID here. Where UIDs are free here (messages came and went) the backend gets fillers that are expunged at once, so
that the next message has its number. New messages go first, in all mailboxes, and only then is anything removed: a
message that was moved is never nowhere.

What must never happen: a message on the backend twice; another message under a UID that a client has seen; a message
removed there that was not expunged here; a backend that is written by anybody while the account lives here but by
this.
"""
