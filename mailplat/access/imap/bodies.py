"""FETCH of sections: octets of message files (RFC 3501 6.4.5), also without transfer encoding (RFC 3516).

Small messages are read in groups of about limits.bodies octets, one hop to a thread for each group. A message above
limits.large_message goes from its file to the socket in pieces: streaming.py.

\\Seen is set group by group, just before the octets are sent: who breaks off in the middle of a mailbox finds the
rest unread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailplat.access.imap.fetch import Places, Plan, chunks, item_columns, present, read_rows, uid_ranges
from mailplat.access.imap.progress import Progress
from mailplat.access.imap.session import Session, log
from mailplat.access.imap.streaming import NOTHING_MISSING, Message, Missing, send_large
from mailplat.access.imap.view import Spans
from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.wire.imap.fetch import Form, Item, Section
from mailplat.wire.mime import Part, UnknownEncoding, extract, extract_from_header, scan, span_without_scan
from mailplat.wire.mime.sections import render_value, takes_fields

# Rows of the index read at once: about as many small messages as one group holds.
_ROWS = 200


@dataclass(frozen=True, slots=True)
class Group:
    """What one hop to a thread brought."""

    lines: bytes = b""
    large: Message | None = None  # instead of lines: to be streamed
    messages: int = 0
    missing: Missing = NOTHING_MISSING


async def fetch_bodies(session: Session, plan: Plan, spans: Spans, progress: Progress) -> Missing:
    """Write the replies."""
    reader, home = _Reader(session, plan), session.selected.place
    missing = NOTHING_MISSING
    for places in chunks(spans, _ROWS):
        group: Group | None = await home.call(reader.begin, places)
        while group is not None:
            if group.large is not None:
                missing |= await send_large(session, plan.sections, group.large)
            session.out(group.lines)
            missing |= group.missing
            progress.add(group.messages)
            await session.stream.flush()
            group = None if reader.done else await home.call(reader.group)
    return missing


class _Reader:
    """Walks over the messages of one FETCH; its methods run in a thread of the store, one at a time."""

    def __init__(self, session: Session, plan: Plan) -> None:
        self._plan = plan
        self._view = session.selected
        self._shard = self._view.place.shard
        self._residence = self._view.place.residence
        self._limits = session.limits
        self._condstore = session.condstore
        self._marks_seen = plan.marks_seen
        self._waiting: list[tuple[int, tuple[Any, ...]]] = []  # (position, row), the last one first

    @property
    def done(self) -> bool:
        return not self._waiting

    def begin(self, places: Places) -> Group:
        """Read the rows of some messages, and their first group."""
        rows = read_rows(self._plan, self._view, places, self._shard, self._residence)
        there = present(self._view, places, rows)
        self._waiting = list(zip(there, rows, strict=True))[::-1]
        missing = Missing(gone=len(there) < len(places))
        if self.done:
            return Group(missing=missing)
        first = self.group()
        return replace(first, missing=first.missing | missing)

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
        return Group(large=messages[0], messages=1) if large else self._read(messages)

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
        unknown = False
        for uid, octets in self._shard.octets_many(self._residence, self._view.mailbox_id, ranges):
            message = by_uid.pop(uid)
            values = _Values(octets, message.header_size)
            lines.append(message.head)
            for number, section in enumerate(self._plan.sections):
                lines += (b" " if number else b"", section.label, *values.pieces(section))
            lines.append(message.tail)
            unknown = unknown or values.unknown
        return Group(
            lines=b"".join(lines), messages=len(messages), missing=Missing(gone=bool(by_uid), unknown=unknown)
        )


class _Values:
    """Sections of one message that is held whole."""

    def __init__(self, octets: bytes, header_size: int) -> None:
        self._octets = octets
        self._header_size = header_size
        self._root: Part | None = None
        self.unknown = False

    def pieces(self, section: Section) -> tuple[bytes, bytes]:
        """What stands behind the label; a whole message is not copied for it."""
        if section.form is Form.RAW:
            found = span_without_scan(section, len(self._octets), self._header_size)
            if found is not None:
                value = self._octets[found[0] : found[1]]
                return b" {%d}\r\n" % len(value), value
        return b" ", self.render(section)

    def render(self, section: Section) -> bytes:
        octets = self._octets
        found = span_without_scan(section, len(octets), self._header_size)
        if found is not None:
            return render_value(section, octets[found[0] : found[1]])
        if takes_fields(section) and not section.path:
            return render_value(section, extract_from_header(octets[: self._header_size], section))
        if self._root is None:
            self._root = scan(octets)
        try:
            return render_value(section, extract(octets, self._root, section))
        except UnknownEncoding:
            self.unknown = True
            return render_value(section, None)
