"""Would a client notice this difference? One function a kind of answer: (key, there, here) -> (notice, why). None
stands for what one side has not."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from migration.rehearsal.structure import Structure


class Notice(Enum):
    NO = "no"  # or only who reads the protocol
    PERHAPS = "perhaps"  # some clients, in some cases
    YES = "yes"


Verdict = tuple[Notice, str]
Judge = Callable[[str, object, object], Verdict]


@dataclass(frozen=True, slots=True)
class Difference:
    mailbox: str  # "" for the account as a whole
    command: str
    key: str  # a UID, a name, a field
    there: object  # at the legacy platform; None: not there
    here: object
    notice: Notice
    why: str


# What a client does without, or learns in another way: known to the registry of IMAP capabilities.
_HARMLESS = re.compile(
    r"AUTH=|LOGIN-REFERRALS|LOGINDISABLED|STARTTLS|SASL-IR|LITERAL[+-]|IMAP4REV1|ID\Z|ENABLE\Z|COMPRESS=|APPENDLIMIT"
    r"|URL-PARTIAL|CATENATE|XDOVECOT|X[A-Z]"
)


def capability(key: str, there: object, here: object) -> Verdict:
    """A client uses what is offered (RFC 3501 6.1.1): more is no loss."""
    if there is None:
        return Notice.NO, "offered here in addition"
    if _HARMLESS.match(key):
        return Notice.NO, "not offered here; a client does without"
    return Notice.PERHAPS, "not offered here: a client that uses it does without it from then on"


def namespace(key: str, there: object, here: object) -> Verdict:
    if key == "personal":
        return Notice.YES, "names of mailboxes begin otherwise, or have another separator"
    if not there:
        return Notice.NO, "a namespace in addition: empty until somebody shares a mailbox"
    return Notice.PERHAPS, "mailboxes of others are elsewhere, or not here"


_SPECIAL = frozenset({"\\all", "\\archive", "\\drafts", "\\flagged", "\\junk", "\\sent", "\\trash"})


def listing(key: str, there: object, here: object) -> Verdict:
    if not isinstance(there, tuple):
        return Notice.YES, "a mailbox that is not there"
    if not isinstance(here, tuple):
        return Notice.YES, "a mailbox that is not here"
    if there[0] != here[0]:
        return Notice.YES, "another separator"
    changed = there[1] ^ here[1]
    if "\\noselect" in changed or "\\nonexistent" in changed:
        return Notice.YES, "can be opened on one side only"
    if changed & _SPECIAL:
        return Notice.YES, "another special use: sent mail, drafts or trash go elsewhere"
    return Notice.NO, "attributes that describe what is below it"


def subscription(key: str, there: object, here: object) -> Verdict:
    if there is None or here is None:
        return Notice.YES, "subscribed on one side only"
    return Notice.NO, "attributes of a subscription"


# Where more is no loss: the next number, the highest MODSEQ.
_RISING = frozenset({"UIDNEXT", "HIGHESTMODSEQ"})


def numbers(key: str, there: object, here: object) -> Verdict:
    """STATUS and what EXAMINE says."""
    if key in _RISING and isinstance(there, int) and isinstance(here, int) and here > there:
        return Notice.NO, "higher here, as it may be"
    if key == "HIGHESTMODSEQ" and there is None:
        return Notice.NO, "the legacy platform knows no MODSEQ"
    if key == "NOMODSEQ":
        return Notice.NO, "MODSEQs are kept on one side only"
    if key == "UNSEEN" and (there is None or here is None):
        return Notice.NO, "the first unseen message need not be said (RFC 9051 has it no more)"
    if key in ("FLAGS", "PERMANENTFLAGS"):
        return Notice.NO, "which flags are in use; those of each message are compared by themselves"
    if key == "UIDVALIDITY":
        return Notice.YES, "the client downloads everything again"
    return Notice.YES, "the client counts otherwise"


def flags(key: str, there: object, here: object) -> Verdict:
    return _missing(there, here) or (Notice.YES, "another flag or keyword")


def size(key: str, there: object, here: object) -> Verdict:
    return _missing(there, here) or (
        Notice.PERHAPS,
        "another size: a client that compares it with what it has may fetch the message again",
    )


def instant(key: str, there: object, here: object) -> Verdict:
    if there is None or here is None:
        return _missing(there, here) or (Notice.YES, "")
    assert isinstance(there, tuple)
    assert isinstance(here, tuple)
    if there[0] == here[0]:
        return Notice.NO, "the same instant in another zone"
    return Notice.YES, "another date: clients sort by it"


_SHOWN = frozenset({"date", "subject", "from", "to", "cc"})


def envelope(key: str, there: object, here: object) -> Verdict:
    if not isinstance(there, Mapping) or not isinstance(here, Mapping):
        return _missing(there, here) or (Notice.YES, "")
    fields = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    named = ", ".join(fields)
    if all(_plain(there.get(name)) == _plain(here.get(name)) for name in fields):
        return Notice.NO, f"{named}: blanks, or empty for absent"
    if _SHOWN.intersection(fields):
        return Notice.YES, f"{named}: shown in the list of messages"
    return Notice.PERHAPS, f"{named}: used for answers and threads"


def _plain(value: object) -> object:
    """Without what nobody sees: runs of blanks, and whether an empty field is NIL."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return b"" if value.upper() == b"NIL" else b" ".join(value.split())
    return value or b""


def structure(key: str, there: object, here: object) -> Verdict:
    if not isinstance(there, Structure) or not isinstance(here, Structure):
        return _missing(there, here) or (Notice.YES, "")
    if there.shape != here.shape:
        return Notice.YES, "other parts: attachments are shown otherwise"
    if there.sizes != here.sizes:
        return Notice.PERHAPS, "octets or lines of a part: shown beside an attachment"
    return Notice.PERHAPS, "parameters, dispositions or other fields of a part"


def octets(key: str, there: object, here: object) -> Verdict:
    if isinstance(there, bytes) and isinstance(here, bytes) and there.strip() == here.strip():
        return Notice.PERHAPS, "blank lines at an end"
    return _missing(there, here) or (Notice.YES, "other octets")


def search(key: str, there: object, here: object) -> Verdict:
    return Notice.YES, "found on one side only"


def order(key: str, there: object, here: object) -> Verdict:
    if isinstance(there, list) and isinstance(here, list) and sorted(there) == sorted(here):
        return (
            Notice.PERHAPS,
            "the same messages in another order: a list that the server sorts looks otherwise",
        )
    return Notice.YES, "other messages"


def thread(key: str, there: object, here: object) -> Verdict:
    return Notice.PERHAPS, "another thread: conversations that the server makes look otherwise"


def _missing(there: object, here: object) -> Verdict | None:
    if there is None:
        return Notice.YES, "a message that is not there"
    return (Notice.YES, "a message that is not here") if here is None else None
