"""FETCH of sections: octets of message files (RFC 3501 6.4.5), also without transfer encoding (RFC 3516).

Small messages are read in groups of about half of limits.bodies, one hop to a thread for each group: one group is
read while the one before is written. A message above limits.large_message goes from its file to the socket in
pieces: streaming.py.

\\Seen is set group by group, just before the octets are sent: who breaks off in the middle of a mailbox finds the
rest unread. A FETCH that sets it reads nothing ahead.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, ParamSpec, TypeVar

from mailplat.access.imap.fetch import Places, Plan, chunks, item_columns, present, read_rows, uid_ranges
from mailplat.access.imap.progress import Progress
from mailplat.access.imap.session import Session, log
from mailplat.access.imap.streaming import Message, Missing, send_large
from mailplat.access.imap.view import Spans
from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.wire.imap.fetch import Form, Item, Section, Text
from mailplat.wire.mime import Part, UnknownEncoding, extract, extract_from_header, scan, span_without_scan
from mailplat.wire.mime.sections import part_of_content, render_value, takes_fields

P = ParamSpec("P")
T = TypeVar("T")

# Rows of the index read at once: more small messages than one group holds, and few enough that who asks for their
# ENVELOPE too holds little.
_ROWS = 500

Rows = Sequence[tuple[Any, ...]]

# Where a row of the plan's columns ends.
_SIZE, _HEADER_SIZE = -3, -2
_FILES = itemgetter(0, -1, _SIZE)  # as Shard.contents wants them

_CLOSE = b")\r\n"


@dataclass(frozen=True, slots=True)
class Group:
    """What one hop to a thread brought."""

    lines: bytes = b""
    large: Message | None = None  # instead of lines: to be streamed
    messages: int = 0


async def read_while_writing(
    session: Session, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """A reading call of the store, while the client takes what was gathered for it."""
    reading = asyncio.ensure_future(session.selected.place.call(function, *args, **kwargs))
    try:
        await session.stream.flush()
    except BaseException:
        await asyncio.gather(reading, return_exceptions=True)
        raise
    return await reading


async def fetch_bodies(session: Session, plan: Plan, spans: Spans, progress: Progress) -> Missing:
    """Write the replies."""
    reader, home = _Reader(session, plan, spans), session.selected.place
    missing = Missing()
    group = await home.call(reader.group)
    while group is not None:
        if group.large is not None:
            missing |= await send_large(session, plan.sections, group.large)
        session.out(group.lines)
        progress.add(group.messages)
        if plan.marks_seen or group.large is not None:
            await session.stream.flush()
            group = await home.call(reader.group)
        else:
            group = await read_while_writing(session, reader.group)
    return missing | reader.missing


class _Reader:
    """Walks over the messages of one FETCH; `group` runs in a thread of the store, once at a time."""

    def __init__(self, session: Session, plan: Plan, spans: Spans) -> None:
        self.missing = Missing()
        self._plan = plan
        self._view = session.selected
        self._shard = self._view.place.shard
        self._residence = self._view.place.residence
        self._limits = session.limits
        self._condstore = session.condstore
        self._marks_seen = plan.marks_seen
        self._pieces = chunks(spans, _ROWS, descending=plan.descending)
        self._places: Places = ()
        self._rows: Rows = ()
        self._next = 0  # in both

    def group(self) -> Group | None:
        """The next messages that fit, or the next large one alone; None at the end."""
        places, rows = self._take()
        if not places:
            return None
        changed = self._mark(places) if self._marks_seen else frozenset()
        heads = self._heads(places, rows)
        tails = self._tails(places, rows, changed) if changed else itertools.repeat(_CLOSE, len(places))
        if self._is_large(rows[0]):
            row = rows[0]
            return Group(
                large=Message(row[0], row[_HEADER_SIZE], next(iter(heads)), next(iter(tails))), messages=1
            )
        return Group(lines=self._read(rows, heads, tails), messages=len(places))

    def _take(self) -> tuple[Places, Rows]:
        """All but the first fit into what is left."""
        if self._next == len(self._rows) and not self._fill():
            return (), ()
        room = self._limits.bodies // 2
        first, self._next = self._next, self._next + 1
        octets = self._weight(self._rows[first])
        for row in self._rows[self._next :]:
            octets += self._weight(row)
            if octets > room or self._is_large(row):
                break
            self._next += 1
        return self._places[first : self._next], self._rows[first : self._next]

    def _fill(self) -> bool:
        """Read the rows of the next messages; False at the end."""
        for places in self._pieces:
            self._rows = read_rows(self._plan, self._view, places, self._shard, self._residence)
            self._places = present(self._view, places, self._rows)
            self._next = 0
            if len(self._places) < len(places):
                self.missing |= Missing(gone=True)
            if self._rows:
                return True
        return False

    def _weight(self, row: tuple[Any, ...]) -> int:
        """Octets that the reply may have of the message: each section may be all of it."""
        size: int = row[_SIZE]
        return size * len(self._plan.sections)

    def _is_large(self, row: tuple[Any, ...]) -> bool:
        most = self._limits.large_message
        return row[_SIZE] > most or self._weight(row) > 8 * most

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

    def _heads(self, places: Places, rows: Rows) -> Iterable[bytes]:
        """Each reply line up to the first section's value."""
        plan = self._plan
        label = plan.sections[0].label.replace(b"%", b"%%")
        template = plan.head + plan.template + (b" " if plan.items else b"") + label
        columns = item_columns(plan, self._view, places, rows)
        return map(template.__mod__, zip(plan.numbers(self._view, places), *columns, strict=True))

    def _tails(self, places: Places, rows: Rows, changed: frozenset[int]) -> Iterable[bytes]:
        """RFC 3501 6.4.5: a change of \\Seen should be part of the FETCH response; RFC 7162 3.1: with its MODSEQ."""
        return (
            self._flags(place) if row[0] in changed else _CLOSE
            for place, row in zip(places, rows, strict=True)
        )

    def _flags(self, place: int) -> bytes:
        if Item.FLAGS in self._plan.items:
            return _CLOSE
        view = self._view
        flags = view.rendered[view.flags[place]]
        if self._condstore and Item.MODSEQ not in self._plan.items:
            return b" FLAGS %b MODSEQ (%d))\r\n" % (flags, view.modseqs[place])
        return b" FLAGS %b)\r\n" % flags

    def _read(self, rows: Rows, heads: Iterable[bytes], tails: Iterable[bytes]) -> bytes:
        """The reply lines. The loop runs for each message of each mailbox that is read whole."""
        files = map(_FILES, rows)
        contents = self._shard.contents(self._residence, self._view.mailbox_id, files)
        whole = _is_whole(self._plan.sections)
        lines: list[bytes] = []
        for octets, row, head, tail in zip(contents, rows, heads, tails, strict=True):
            if octets is None:
                self.missing |= Missing(gone=True)
            elif whole:
                lines += (head, b" {%d}\r\n" % len(octets), octets, tail)
            else:
                lines += (head, *self._values(octets, row[_HEADER_SIZE]), tail)
        return b"".join(lines)

    def _values(self, octets: bytes, header_size: int) -> Iterable[bytes]:
        """Of each section, with the labels of all but the first."""
        values = _Values(octets, header_size)
        for number, section in enumerate(self._plan.sections):
            if number:
                yield b" " + section.label
            yield from values.pieces(section)
        if values.unknown:
            self.missing |= Missing(unknown=True)


def _is_whole(sections: Sequence[Section]) -> bool:
    """BODY[] and nothing else: what a client that copies a mailbox asks for."""
    return [replace(section, peek=False, label=b"") for section in sections] == [Section((), Text.ALL)]


class _Values:
    """Sections of one message that is held whole."""

    __slots__ = ("_contents", "_header_size", "_octets", "_root", "unknown")

    def __init__(self, octets: bytes, header_size: int) -> None:
        self._octets = octets
        self._header_size = header_size
        self._root: Part | None = None
        self._contents: dict[tuple[int, ...], bytes | None] = {}  # parts without their transfer encoding
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
            if section.form is Form.RAW:
                return render_value(section, extract(octets, self._root, section))
            return render_value(section, part_of_content(self._content(self._root, section), section))
        except UnknownEncoding:
            self.unknown = True
            return render_value(section, None)

    def _content(self, root: Part, section: Section) -> bytes | None:
        """Decoded once, however many windows of it are asked for. Raises UnknownEncoding."""
        if section.path not in self._contents:
            whole = replace(section, offset=0, length=None)
            self._contents[section.path] = extract(self._octets, root, whole)
        return self._contents[section.path]
