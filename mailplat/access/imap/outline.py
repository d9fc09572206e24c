"""All mailboxes of an account at one moment, and what became of them until another (RFC 5465 5)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from mailplat.store.types import Mailbox
from mailplat.wire.imap.listing import DELIMITER
from mailplat.wire.imap.notify import Event

# Values of annotations are compared, not kept.
_DIGEST = 16

# Entries of one mailbox, or of the account (ACCOUNT): a digest of each value.
Entries = Mapping[str, bytes]


@dataclass(frozen=True)
class Outline:
    """All mailboxes of an account at one look."""

    mailboxes: Mapping[int, Mailbox]  # in the order of the store
    subscriptions: frozenset[str]
    entries: Mapping[int, Entries]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(mailbox.name for mailbox in self.mailboxes.values())


EMPTY = Outline({}, frozenset(), {})


def changed_names(
    was: Collection[str],
    now: Collection[str],
    mine: Mapping[str, bool],
    *,
    there: Collection[str] | None = None,
) -> set[str]:
    """Names that are in one of them only; of what this client did itself those that are not as it left them.
    `there`: all that are there now, where `now` is only some."""
    there = now if there is None else there
    found = set(was) ^ set(now)
    kept = {name for name, expected in mine.items() if (name in there) == expected}
    return (found - kept) | {name for name in mine if name not in kept}


def followed(was: Outline, now: Outline) -> dict[int, Mailbox]:
    """The mailboxes, as they were, that are there still, and whose change of name OLDNAME can tell: where another one
    had the new name before or has the old one now, a client could not know which of the two is meant. Such a mailbox
    is told as one that went, and one that came."""
    same = {}
    for number, before in was.mailboxes.items():
        after = now.mailboxes.get(number)
        if after is None:
            continue
        if before.name == after.name or (after.name not in was.names and before.name not in now.names):
            same[number] = before
    return same


def given_up(same: Mapping[int, Mailbox], now: Outline) -> set[str]:
    """Names of mailboxes that have others now."""
    return {mailbox.name for mailbox in same.values()} - now.names


def renames(same: Mapping[int, Mailbox], now: Outline) -> list[tuple[str, str]]:
    """(Old name, new name), the deepest of the old ones first: what left a tree has left it before that is renamed.
    Mailboxes below a renamed one come along untold (RFC 5465 5.4)."""
    after = ((before.name, now.mailboxes[number].name) for number, before in same.items())
    pairs = [(old, new) for old, new in after if old != new]
    new_names = dict(pairs)
    told = [(old, new) for old, new in pairs if not _comes_along(old, new, new_names)]
    return sorted(told, key=lambda pair: -pair[0].count(DELIMITER))


def _comes_along(old: str, new: str, new_names: Mapping[str, str]) -> bool:
    while DELIMITER in old:
        old, _, level = old.rpartition(DELIMITER)
        if not new.endswith(DELIMITER + level):
            return False
        new = new.removesuffix(DELIMITER + level)
        if new_names.get(old) == new:
            return True
    return False


def status_values(
    was: Mailbox | None, now: Mailbox, events: Collection[Event], *, condstore: bool
) -> dict[str, int | str]:
    """Items of STATUS for what changed (RFC 5465 5.1 to 5.3); none where the client need not hear of it. A mailbox
    that is new to it is told whole."""
    if was is None:
        return first_values(now, events, condstore=condstore)
    counted = (was.uidnext, was.messages, was.uidvalidity) != (now.uidnext, now.messages, now.uidvalidity)
    flags = Event.FLAG_CHANGE in events
    modseq = condstore and was.modseq != now.modseq and (counted or flags)
    values: dict[str, int | str] = {}
    if counted:
        values |= {"MESSAGES": now.messages, "UIDNEXT": now.uidnext}
    if counted or modseq:  # UIDVALIDITY too: the mailbox may be new to the client
        values["UIDVALIDITY"] = now.uidvalidity
    if flags and was.unseen != now.unseen:
        values["UNSEEN"] = now.unseen
    if modseq:
        values["HIGHESTMODSEQ"] = now.modseq
    return values


def first_values(now: Mailbox, events: Collection[Event], *, condstore: bool) -> dict[str, int | str]:
    """What NOTIFY SET STATUS says of a mailbox (RFC 5465 3.1): HIGHESTMODSEQ wherever changes of flags are watched,
    whether the client has enabled CONDSTORE or not."""
    values: dict[str, int | str] = {
        "MESSAGES": now.messages,
        "UIDNEXT": now.uidnext,
        "UIDVALIDITY": now.uidvalidity,
    }
    if Event.FLAG_CHANGE in events:
        values["UNSEEN"] = now.unseen
    if Event.FLAG_CHANGE in events or condstore:
        values["HIGHESTMODSEQ"] = now.modseq
    return values


def digests(entries: Mapping[str, bytes]) -> Entries:
    return {name: digest(value) for name, value in entries.items()}


def digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=_DIGEST).digest()
