"""What SEARCH asks: which messages hold a text, among those whose text is kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from mailplat.core.errors import LimitReached, Unavailable
from mailplat.db.engine import Damaged
from mailplat.store.fulltext.blocks import Block, to_numbers
from mailplat.store.fulltext.texts import CONTENT, KINDS, kinds_of
from mailplat.store.site import MailboxRow, Site
from mailplat.wire.imap import search as keys

log = structlog.get_logger("fulltext")

_PARTS = "SELECT part FROM part WHERE mailbox_id = ? AND account_id = ? AND uidvalidity = ?"
_BLOCKS = "SELECT uids, ends, texts FROM block WHERE mailbox_id = ? AND kind = ? ORDER BY id"

# kind -> what is looked for in it -> where to note the messages
_Questions = dict[int, dict[bytes, list[set[int]]]]


@dataclass(slots=True)
class Found:
    """UIDs, also of messages that are gone by now."""

    matched: set[int] = field(default_factory=set)
    known: set[int] = field(default_factory=set)  # whose text is kept: of these no other matches


def look(site: Site, mailbox: MailboxRow, key: keys.Key, deadline: float) -> Mapping[keys.Key, Found]:
    """For those keys within `key` whose text is kept, of some messages or all. What is not kept yet is noted for the
    keeper. Raises LimitReached after `deadline`; where the file cannot be read, nothing is kept."""
    wanted = {leaf: kinds for leaf in _leaves(key) if (kinds := kinds_of(leaf)) is not None}
    if not wanted or site.fulltext.mode == "off":
        return {}
    try:
        with site.fulltext.read() as connection:
            parts = [] if connection is None else _parts(connection, mailbox)
            for part in {part for part, _, _ in wanted.values()}.difference(parts):
                site.fulltext.want(mailbox.id, part)
            here = {leaf: kinds for leaf, kinds in wanted.items() if kinds[0] in parts}
            return {} if connection is None else _ask(site, connection, mailbox.id, here, deadline)
    except Damaged as error:
        site.fulltext.damaged = True
        site.fulltext.wake.set()
        reason = str(error)
    except Unavailable as error:
        reason = str(error)
    log.warning("the text that is kept cannot be read; files are searched", shard=site.name, reason=reason)
    return {}


def _leaves(key: keys.Key) -> Iterator[keys.Key]:
    match key:
        case keys.And(parts) | keys.Or(parts):
            for part in parts:
                yield from _leaves(part)
        case keys.Not(inner):
            yield from _leaves(inner)
        case _:
            yield key


def _parts(connection: Connection, mailbox: MailboxRow) -> Sequence[int]:
    found = connection.exec_driver_sql(_PARTS, (mailbox.id, mailbox.account_id, mailbox.uidvalidity))
    return [part for (part,) in found]


def _ask(
    site: Site,
    connection: Connection,
    mailbox_id: int,
    wanted: Mapping[keys.Key, tuple[int, tuple[int, ...], bytes]],
    deadline: float,
) -> dict[keys.Key, Found]:
    """Each block is read once, whatever is looked for in it."""
    found = {leaf: Found() for leaf in wanted}
    questions: _Questions = {}
    known: dict[int, set[int]] = {}
    for leaf, (part, kinds, needle) in wanted.items():
        for kind in kinds:
            questions.setdefault(kind, {}).setdefault(needle, []).append(found[leaf].matched)
        found[leaf].known = known.setdefault(part, set())
    # The kinds of a part have the same messages: that of one of them is all that is known.
    for kind, needles in questions.items():
        part = next(part for part, kinds in KINDS.items() if kind in kinds)
        result = connection.exec_driver_sql(_BLOCKS, (mailbox_id, kind))
        for uids, ends, octets in result:
            block = Block(to_numbers(uids), to_numbers(ends), octets)
            known[part].update(block.uids)
            for needle, places in needles.items():
                matched = list(block.find(needle))
                for place in places:
                    place.update(matched)
            if part == CONTENT and site.clock.monotonic() > deadline:
                result.close()
                raise LimitReached(
                    f"a search took longer than {site.limits.search_seconds:g} s; search for less"
                )
    return found
