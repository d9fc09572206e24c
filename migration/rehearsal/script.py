"""What is asked: the reading commands of IMAP that clients send, the same for every account and mailbox."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailplat.core.limits.rehearsal import RehearsalLimits
from migration.rehearsal import answers, judgement
from migration.rehearsal.answers import Reader
from migration.rehearsal.judgement import Judge
from migration.sources import replies
from migration.sources.imap import command

# Behind a login, and what STATUS can say of a mailbox that nobody has open (RFC 3501 6.3.10, RFC 7162 3.1.7).
STATUS_ITEMS = b"(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"

_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9]{3,30}")
_ID = re.compile(rb"<[!#-\[\]-~]{3,200}>")  # ASCII without blank, quote and backslash


@dataclass(frozen=True, slots=True)
class Question:
    shown: str
    there: Sequence[bytes]  # as `command` makes it
    here: Sequence[bytes]
    reader: Reader
    judge: Judge
    needs: str = ""  # a capability that both must offer


def _same(line: str, reader: Reader, judge: Judge, needs: str = "") -> Question:
    return Question(line, [line.encode()], [line.encode()], reader, judge, needs)


ACCOUNT = (
    _same("CAPABILITY", answers.capability, judgement.capability),
    _same("NAMESPACE", answers.namespace, judgement.namespace, "NAMESPACE"),
    _same('LIST "" "*"', answers.listing(b"LIST"), judgement.listing),
    _same('LIST "" "%"', answers.listing(b"LIST"), judgement.listing),
    _same('LSUB "" "*"', answers.listing(b"LSUB"), judgement.subscription),
)


def status(there: bytes, here: bytes) -> Question:
    """By the names that each side has for the mailbox."""
    old, new = (command(b"STATUS", name, tail=STATUS_ITEMS) for name in (there, here))
    return Question(f"STATUS {STATUS_ITEMS.decode()}", old, new, answers.status, judgement.numbers)


def opening(there: bytes, here: bytes) -> Question:
    old, new = command(b"EXAMINE", there), command(b"EXAMINE", here)
    return Question("EXAMINE", old, new, answers.opening, judgement.numbers)


EVERYTHING = _same("UID SEARCH ALL", answers.found_uids(b"SEARCH"), judgement.search)
FLAGS = _same("UID FETCH 1:* (FLAGS)", answers.fetched(answers.flags), judgement.flags)


def sample(uids: Sequence[int], limits: RehearsalLimits) -> list[int]:
    """`uids` ascending."""
    return sorted({*uids[: limits.eldest], *uids[-limits.newest :]})


def details(uids: Sequence[int], limits: RehearsalLimits) -> list[Question]:
    """Of these messages; none where there are none."""
    if not uids:
        return []
    which = replies.uid_set(uids).decode()
    some = limits.bodies // 3
    few = replies.uid_set([*uids[:some], *uids[some - limits.bodies :]]).decode()
    kinds = (
        (which, "RFC822.SIZE", answers.fetched(answers.number), judgement.size),
        (which, "INTERNALDATE", answers.fetched(answers.instant), judgement.instant),
        (which, "ENVELOPE", answers.fetched(answers.envelope), judgement.envelope),
        (which, "BODYSTRUCTURE", answers.fetched(answers.structure), judgement.structure),
        *(
            (
                few,
                f"BODY.PEEK[{section}]<0.{limits.body_octets}>",
                answers.fetched(answers.octets),
                judgement.octets,
            )
            for section in ("HEADER", "TEXT", "1", "HEADER.FIELDS (FROM TO SUBJECT DATE)")
        ),
    )
    return [_same(f"UID FETCH {uids_} ({item})", reader, judge) for uids_, item, reader, judge in kinds]


def searches(uids: Sequence[int], envelope: Mapping[str, object], middle: int) -> list[Question]:
    """`envelope` of one of the messages, whose words are looked for; `middle`: a date (Unix time) that some are
    before and some after."""
    if not uids:
        return []
    day = time.strftime("%d-%b-%Y", time.gmtime(middle))
    keys = [
        "UNSEEN",
        "SEEN",
        "FLAGGED",
        "ANSWERED",
        "DELETED",
        "UNDELETED",
        "DRAFT",
        f"SINCE {day}",
        f"BEFORE {day}",
        f"ON {day}",
        f"SENTSINCE {day}",
        "LARGER 10000",
        "SMALLER 10000",
        f"UID {uids[len(uids) // 2]}:*",
        "OR FLAGGED (NOT SEEN LARGER 1000)",
        'HEADER Content-Type ""',
    ]
    if word := _found(_WORD, envelope.get("subject")):
        keys.append(f'SUBJECT "{word}"')
    if word := _found(_WORD, _first_mailbox(envelope.get("from"))):
        keys.append(f'FROM "{word}"')
    if word := _found(_ID, envelope.get("message-id")):
        keys.append(f'HEADER Message-ID "{word}"')
    found = [_same(f"UID SEARCH {key}", answers.found_uids(b"SEARCH"), judgement.search) for key in keys]
    for order in ("ARRIVAL", "REVERSE DATE", "SUBJECT", "FROM", "SIZE"):
        line = f"UID SORT ({order}) UTF-8 ALL"
        found.append(_same(line, answers.sorted_uids, judgement.order, "SORT"))
    for kind in ("REFERENCES", "ORDEREDSUBJECT"):
        line = f"UID THREAD {kind} UTF-8 ALL"
        found.append(_same(line, answers.threads, judgement.thread, f"THREAD={kind}"))
    return found


def _found(pattern: "re.Pattern[bytes]", value: object) -> str:
    found = pattern.search(value) if isinstance(value, bytes) else None
    return found[0].decode("ascii") if found else ""


def _first_mailbox(addresses: object) -> object:
    """Of (name adl mailbox host) the mailbox (RFC 3501 7.4.2)."""
    first = addresses[0] if isinstance(addresses, list) and addresses else None
    return first[2] if isinstance(first, list) and len(first) > 2 else None
