"""Errors of the house as tagged replies. Texts are fixed: what an exception says stays in the log.

RFC 5530 (response codes), RFC 9051 7.1 (OVERQUOTA from RFC 9208, TOOBIG from RFC 4469).
"""

from dataclasses import dataclass
from typing import Literal

from mailplat.access.imap.place import NoRight
from mailplat.core.errors import (
    AlreadyExists,
    InvalidInput,
    LimitReached,
    MailplatError,
    NotFound,
    OverQuota,
    Unavailable,
)
from mailplat.store.types import MessageGone
from mailplat.wire.imap.errors import BadCharset, BadSyntax, UidRequired


@dataclass(frozen=True, slots=True)
class Tagged:
    """How a command ends."""

    status: Literal["OK", "NO", "BAD"]
    text: str
    code: str | bytes = ""  # without brackets


class ReadOnly(MailplatError):
    """The selected mailbox may not be changed: EXAMINE."""


class TooManyMessages(MailplatError):
    """More messages than one command may work on, of a command that is not done in parts (RFC 9738)."""

    def __init__(self, limit: int, lowest: int = 0) -> None:
        """`lowest`: the lowest UID of as many as would do, the highest of those named; 0: there is none."""
        super().__init__(f"more than {limit} messages in one command")
        self.limit = limit
        self.lowest = lowest


def ok(text: str, code: str | bytes = "") -> Tagged:
    return Tagged("OK", text, code)


def no(text: str, code: str = "") -> Tagged:
    return Tagged("NO", text, code)


def bad(text: str) -> Tagged:
    return Tagged("BAD", text)


EXPUNGED = no("Some of the messages no longer exist", "EXPUNGEISSUED")  # RFC 2180 4, RFC 5530
NUMBERED = Tagged("BAD", str(UidRequired()), "UIDREQUIRED")  # RFC 9586 3.1
BUG = no("Internal error, it has been logged", "SERVERBUG")
UNAVAILABLE = no("Mailbox is temporarily unavailable, try again later", "UNAVAILABLE")
# RFC 5530 3: not the password's fault, and it passes: with the move.
ONLY_POP3 = no(
    "Your mailbox has not moved here yet; until then it can be read over POP3 only, IMAP comes with the move",
    "UNAVAILABLE",
)
BAD_LOGIN = no("Invalid user name or password", "AUTHENTICATIONFAILED")
PRIVACY = no("Passwords are taken under TLS only", "PRIVACYREQUIRED")  # RFC 5530
NO_RIGHT = no("You do not have the right to do that", "NOPERM")  # RFC 5530, RFC 4314 4
READ_ONLY = no("Mailbox is selected read-only", "CANNOT")


def refusal(error: Exception, *, missing: str = "NONEXISTENT") -> Tagged | None:
    """The reply for an expected error; None for a bug. `missing` is the code for a mailbox that is not there
    (TRYCREATE where a message was to go into it, RFC 3501 7.1)."""
    match error:
        case BadCharset():
            return no("Charset is not supported", "BADCHARSET (US-ASCII UTF-8)")
        case UidRequired():
            return Tagged("BAD", str(error), "UIDREQUIRED")
        case BadSyntax():
            return bad(str(error))
        case InvalidInput():
            return no(_printable(str(error)), "CANNOT")
        case ReadOnly():
            return READ_ONLY
        case TooManyMessages(limit=limit, lowest=lowest):
            code = f"MESSAGELIMIT {limit} {lowest}" if lowest else f"MESSAGELIMIT {limit}"
            return no(f"More than {limit} messages: name fewer", code)
        case MessageGone():
            return EXPUNGED
        case NoRight():
            return NO_RIGHT
        case NotFound():
            return no("No such mailbox", missing)
        case AlreadyExists():
            return no("Mailbox exists already", "ALREADYEXISTS")
        case OverQuota(pool=""):
            return no("Account is over its quota", "OVERQUOTA")
        case OverQuota():
            return no("The accounts of this domain together are over their quota", "OVERQUOTA")
        case LimitReached():
            return no("A limit of this server is reached", "LIMIT")
        case Unavailable():
            return UNAVAILABLE
        case MailplatError():
            return no("Not possible", "CANNOT")
        case _:
            return None


def _printable(text: str) -> str:
    """One line of ASCII: the text names what the client sent."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:200])
