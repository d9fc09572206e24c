"""Where mail comes from. One file a kind of platform.

    contract      Source: what the engine asks of every one of them, and the values that pass
    shard         an account in one of our own shards, by the store's door
    imap_account  an account on an IMAP server, by the right of a master user
    imap          its connection: the only file that imports aioimaplib
    replies       what an IMAP server says, as values; no I/O
    names         mailbox names there and here
    pop3          a POP3 session; the UIDLs that POP3 clients have seen
    pop3_account  an account on a server that has nothing but POP3
    received      when a message came, by its own header
    maildir/      an account of Dovecot or Courier whose files are on a mount
    opening       which of them a backend's accounts are

Invariants. A source is read, never written: mailboxes are opened with EXAMINE, bodies read with PEEK (Courier's
is selected where its files have mail without a number). What it says is bounded (named limits) and not
believed twice: counts, numbers and flags are compared again by `verify`.
What must never happen: a \\Seen flag set by us on a mailbox that people use; an answer cut short taken for a
mailbox with fewer messages.
"""
