r"""Accounts whose mail lies on a mounted file system, as Maildir of Dovecot or Courier: the copy reads files.

    location   where it lies: Dovecot's mail_location, with %u %n %d
    tree       folders and files below a mount, opened so that no name and no link leads out of it
    listing    one mailbox as its files and its list of UIDs say
    uidlist    dovecot-uidlist, courierimapuiddb;  dovecot, courier: all else in which the two differ
    octets     a file's octets as IMAP would send them
    front      the IMAP server before the files, asked for what these cannot tell
    agreement  whether the two say the same;  reading: files that may have other names by now
    account    the Source

What comes from where:

    files        mailbox names, subscriptions, UIDVALIDITY, UIDNEXT, UIDs, flags, keywords, INTERNALDATE (mtime),
                 sizes, octets, UIDLs
    the server   special use, namespace prefix, HIGHESTMODSEQ, flags of a mailbox with all 26 keywords (Dovecot)

There is no MODSEQ of a message: a delta lists the mailbox, whose names of files carry the flags; none is opened for
it.

A message has the UID that the server gives it, never one of ours. One that lies in new/ or cur/ and has none yet
gets it when the server is asked for STATUS, which is how every round begins (Dovecot), or when the mailbox is
selected, which is done where there is one (Courier). One that came after that waits for the next round; one that the
server was asked about and does not take in stops the round.

Invariants
    * Nothing is written below the mount, which may be read-only. What the server writes there when it is asked it
      writes for every client.
    * Files are believed only where the server says the same: names of mailboxes, their UIDVALIDITY, and that it
      knows of no message that is not seen here. A mount that went away, another tree, an old state of a folder that
      NFS shows look like deletions and are none.
    * A message is gone when two listings of a folder that did not change lack it.
    * Octets are those that the server sends: Dovecot ends a line with CRLF where the file has LF alone, and writes
      0x80 for NUL (RFC 3501 9, CHAR8); Courier puts CR before every LF.

What must never happen: an empty mailbox read from a folder that could not be read; a file outside of the mount
opened; a mount that hangs taking threads from anything else (executor "maildir" has a lane for each backend).
"""
