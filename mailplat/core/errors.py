"""Errors that cross a room's door. Each names the thing, the value and what to do next.

A door (SMTP, IMAP, POP3, command line) maps the *class* to a reply of its protocol; the text is for logs and
admins and never goes to a client unless the class says that it may.
"""


class MailplatError(Exception):
    """Base of all expected errors. Anything else that escapes a room is a bug."""


class Unavailable(MailplatError):
    """A thing we depend on (database, shard, disk, legacy server) cannot answer now: SMTP 451 4.3.0,
    IMAP NO [UNAVAILABLE], POP3 -ERR [SYS/TEMP]. The same request may succeed later."""


class DiskFull(Unavailable):
    """The shard's disk is full (ENOSPC, EDQUOT): SMTP 452 4.3.1, IMAP NO [UNAVAILABLE]."""


class InDoubt(Unavailable):
    """A write is neither done nor undone: fsync failed, or a commit did. What was written may be there after a
    restart. Nothing that rests on it is acknowledged, no file that it may speak of is removed, and it is not tried
    again as it stands: after a failed fsync the kernel takes the pages for clean, and the next fsync says yes.
    Replies as Unavailable."""


class StaleEpoch(Unavailable):
    """A write carried an epoch that is no longer the account's: its home changed meanwhile. Nothing was
    written; the door must read the route again. SMTP 451 4.3.2, IMAP BYE [UNAVAILABLE]."""


class OverQuota(MailplatError):
    """The quota of the account, or of the `pool` (its domain) where that is named, does not allow this message: SMTP
    452 4.2.2, IMAP NO [OVERQUOTA]."""

    def __init__(self, text: str, *, pool: str = "") -> None:
        super().__init__(text)
        self.pool = pool


class NotFound(MailplatError):
    """The named mailbox, account, domain, shard or message does not exist."""


class AlreadyExists(MailplatError):
    """The named mailbox, account, domain or alias exists already."""


class LimitReached(MailplatError):
    """A named limit would be passed (number of mailboxes, depth, name length): IMAP NO [LIMIT]."""


class InvalidInput(MailplatError):
    """Input that cannot be right (address, mailbox name, setting); the text may be shown to who sent it."""
