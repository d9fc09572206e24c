"""FETCH of sections: octets of message files, streamed (RFC 3501 6.4.5).

Small messages are read in groups of about limits.bodies octets, one hop to a thread for each group. A message above
limits.large_message goes from its file to the socket in pieces; only where a MIME part of it is asked for it is held
whole, by not more than limits.large_messages sessions at a time.

\\Seen is set group by group, just before the octets are sent: who breaks off in the middle of a mailbox finds the
rest unread.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from mailplat.access.imap.fetch import Places, Plan, chunks, item_columns, present, uid_ranges
from mailplat.access.imap.session import ConnectionGone, Session, log
from mailplat.access.imap.view import Spans
from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.wire.imap.fetch import Item, Section, Text
from mailplat.wire.imap.strings import literal
from mailplat.wire.mime import Part, extract, scan, select_fields, span_without_scan

# Rows of the index read at once: about as many small messages as one group holds.
_ROWS = 200

# One read of a large message, octets.
_PIECE = 256 * 1024

_FIELDS = frozenset({Text.FIELDS, Text.FIELDS_NOT})


@dataclass(frozen=True, slots=True)
class Message:
    """One message before its file is read."""

    uid: int
    size: int
    header_size: int
    head: bytes  # of its reply line, up to the first section
    tail: bytes  # what stands behind the last


@dataclass(frozen=True, slots=True)
class Group:
    """What one hop to a thread brought."""

    lines: bytes = b""
    large: Message | None = None  # instead of lines: to be streamed
    gone: bool = False  # a message was expunged meanwhile


async def fetch_bodies(session: Session, plan: Plan, spans: Spans) -> bool:
    """Write the replies. True when a message was gone."""
    reader = _Reader(session, plan)
    gone = False
    for places in chunks(spans, _ROWS):
        group: Group | None = await session.call(reader.begin, places)
        while group is not None:
            if group.large is not None:
                gone = not await _send_large(session, plan.sections, group.large) or gone
            session.out(group.lines)
            gone = gone or group.gone
            await session.stream.flush()
            group = None if reader.done else await session.call(reader.group)
    return gone


class _Reader:
    """Walks over the messages of one FETCH; its methods run in a thread of the store, one at a time."""

    def __init__(self, session: Session, plan: Plan) -> None:
        self._plan = plan
        self._view = session.selected
        self._shard = session.shard
        self._residence = session.residence
        self._limits = session.limits
        self._condstore = session.condstore
        self._marks_seen = plan.marks_seen
        self._waiting: list[tuple[int, tuple[Any, ...]]] = []  # (position, row), the last one first

    @property
    def done(self) -> bool:
        return not self._waiting

    def begin(self, places: Places) -> Group:
        """Read the rows of some messages, and their first group."""
        ranges = uid_ranges(self._view, places)
        rows = self._shard.rows(self._residence, self._view.mailbox_id, ranges, self._plan.columns)
        there = present(self._view, places, rows)
        self._waiting = list(zip(there, rows, strict=True))[::-1]
        gone = len(there) < len(places)
        if self.done:
            return Group(gone=gone)
        first = self.group()
        return replace(first, gone=first.gone or gone)

    def group(self) -> Group:
        """The next messages that fit into limits.bodies, or the next large one alone."""
        taken = [self._waiting.pop()]
        octets = taken[0][1][-2]
        large = octets > self._limits.large_message
        while not large and self._waiting:
            size = self._waiting[-1][1][-2]
            if octets + size > self._limits.bodies or size > self._limits.large_message:
                break
            octets += size
            taken.append(self._waiting.pop())
        places = [place for place, _ in taken]
        changed = self._mark(places) if self._marks_seen else frozenset()
        messages = self._describe(places, [row for _, row in taken], changed)
        return Group(large=messages[0]) if large else self._read(messages)

    def _mark(self, places: Sequence[int]) -> frozenset[int]:
        """Set \\Seen; the UIDs that did not have it. A shard that cannot write now (disk
        full) still shows its mail."""
        view = self._view
        unseen = [place for place in places if "\\Seen" not in view.flagsets[view.flags[place]]]
        if not unseen:
            return frozenset()
        try:
            rows, _ = self._shard.store_flags(
                self._residence, view.mailbox_id, uid_ranges(view, unseen), "add", ("\\Seen",)
            )
        except StaleEpoch:
            raise
        except Unavailable as error:
            log.warning("\\Seen not set", account=self._residence.account_id, reason=str(error))
            self._marks_seen = False
            return frozenset()
        for uid, modseq, flags in rows:
            view.note(uid, modseq, flags, tell=False)
        return frozenset(row[0] for row in rows)

    def _describe(
        self, places: Sequence[int], rows: Sequence[tuple[Any, ...]], changed: frozenset[int]
    ) -> list[Message]:
        template = self._plan.head + self._plan.template + (b" " if self._plan.items else b"")
        columns = item_columns(self._plan, self._view, places, rows)
        values = zip(self._plan.numbers(self._view, places), *columns, strict=True)
        return [
            Message(row[0], row[-2], row[-1], template % value, self._tail(place, row[0] in changed))
            for place, row, value in zip(places, rows, values, strict=True)
        ]

    def _tail(self, place: int, changed: bool) -> bytes:
        """RFC 3501 6.4.5: a change of \\Seen should be part of the FETCH response; RFC 7162 3.1: with its MODSEQ."""
        if not changed or Item.FLAGS in self._plan.items:
            return b")\r\n"
        view = self._view
        flags = view.rendered[view.flags[place]]
        if self._condstore and Item.MODSEQ not in self._plan.items:
            return b" FLAGS %b MODSEQ (%d))\r\n" % (flags, view.modseqs[place])
        return b" FLAGS %b)\r\n" % flags

    def _read(self, messages: Sequence[Message]) -> Group:
        by_uid = {message.uid: message for message in messages}
        ranges = [(uid, uid) for uid in by_uid]
        lines: list[bytes] = []
        for uid, octets in self._shard.octets_many(self._residence, self._view.mailbox_id, ranges):
            message = by_uid.pop(uid)
            lines += (message.head, _sections(self._plan.sections, octets, message.header_size), message.tail)
        return Group(lines=b"".join(lines), gone=bool(by_uid))


def _sections(sections: Sequence[Section], octets: bytes, header_size: int) -> bytes:
    """Labels and values of all sections of one message."""
    root: Part | None = None
    pieces = []
    for section in sections:
        value = _without_scan(section, octets, len(octets), header_size)
        if value is None:
            if root is None:
                root = scan(octets)
            value = extract(octets, root, section)
        pieces.append(section.label + b" " + (b"NIL" if value is None else literal(value)))
    return b" ".join(pieces)


def _without_scan(section: Section, octets: bytes, size: int, header_size: int) -> bytes | None:
    """The value of a section that needs no look at the structure; None for one that does."""
    found = span_without_scan(section, size, header_size)
    if found is not None:
        return octets[found[0] : found[1]]
    if section.path or section.text not in _FIELDS:
        return None
    names = {name.lower() for name in section.fields}
    chosen = select_fields(octets[:header_size], names, invert=section.text is Text.FIELDS_NOT)
    end = None if section.length is None else section.offset + section.length
    return chosen[section.offset : end]


async def _send_large(session: Session, sections: Sequence[Section], message: Message) -> bool:
    """Write one message from its file; False when it was gone."""
    view = session.selected
    file = await session.call(session.shard.open, session.residence, view.mailbox_id, message.uid)
    if file is None:
        return False
    try:
        session.out(message.head)
        for number, section in enumerate(sections):
            session.out((b" " if number else b"") + section.label + b" ")
            size = os.fstat(file.fileno()).st_size
            stretch = span_without_scan(section, size, message.header_size)
            if stretch is not None:
                await _send_stretch(session, file, *stretch)
            elif section.path or section.text not in _FIELDS:
                await _send_part(session, file, section)
            else:
                header = await session.call(_pread, file, message.header_size, 0)
                value = _without_scan(section, header, size, message.header_size)
                session.out(literal(value or b""))
        session.out(message.tail)
    finally:
        file.close()
    return True


async def _send_stretch(session: Session, file: BinaryIO, start: int, end: int) -> None:
    session.out(b"{%d}\r\n" % (end - start))
    while start < end:
        octets = await session.call(_pread, file, min(_PIECE, end - start), start)
        if not octets:
            log.error("a message file ended early", account=session.account_id)
            raise ConnectionGone  # the literal's size is on the wire: only closing says that it is not complete
        start += len(octets)
        session.out(octets)
        await session.stream.flush()


async def _send_part(session: Session, file: BinaryIO, section: Section) -> None:
    """A MIME part of a large message: held whole while it is taken apart."""
    async with session.services.large:
        octets = await session.call(_pread, file, os.fstat(file.fileno()).st_size, 0)
        value = await session.call(_extract, octets, section)
        del octets
    session.out(b"NIL" if value is None else literal(value))
    await session.stream.flush()


def _extract(octets: bytes, section: Section) -> bytes | None:
    return extract(octets, scan(octets), section)


def _pread(file: BinaryIO, size: int, offset: int) -> bytes:
    return os.pread(file.fileno(), size, offset)
