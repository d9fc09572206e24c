"""FETCH without message files: rows of the view and the index to reply lines, in bulk (RFC 3501 6.4.5, 7.4.2).

What a client asks for becomes one bytes template for the whole command, and each message one `%` of it; the loops run
in C. What bodies.py needs for the other half of a reply line comes from here too.
"""

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mailplat.access.imap.view import Spans, View
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.wire.imap import response
from mailplat.wire.imap.fetch import FetchProgram, Item, Section, Text
from mailplat.wire.imap.strings import nstring

# Positions of the messages that one step renders.
Places = Sequence[int]

Column = Iterable[Any]

# What the reply calls each item, with the format of its value; the index columns it is made of.
_FORMATS = {
    Item.UID: b"UID %d",
    Item.FLAGS: b"FLAGS %b",
    Item.MODSEQ: b"MODSEQ (%d)",  # RFC 7162 3.1.4.1
    Item.INTERNALDATE: b"INTERNALDATE %b",
    Item.SIZE: b"RFC822.SIZE %d",
    Item.ENVELOPE: b"ENVELOPE %b",
    Item.BODY: b"BODY %b",
    Item.BODYSTRUCTURE: b"BODYSTRUCTURE %b",
    Item.PREVIEW: b"PREVIEW %b",  # RFC 8970 3.2
    Item.EMAILID: b"EMAILID %b",  # RFC 8474 5
    Item.THREADID: b"THREADID %b",
    Item.SAVEDATE: b"SAVEDATE %b",  # RFC 8514 4.2
}
_COLUMNS: dict[Item, tuple[str, ...]] = {
    Item.INTERNALDATE: ("internaldate", "internaldate_zone"),
    Item.SIZE: ("size",),
    Item.ENVELOPE: ("envelope",),
    Item.BODY: ("body",),
    Item.BODYSTRUCTURE: ("bodystructure",),
    Item.PREVIEW: ("preview",),
    Item.EMAILID: ("email_id",),
    Item.SAVEDATE: ("saved_at",),
}

# Items that rows of an old index lack, with their place in what Shard.complete gives.
_COMPLETED = {"preview": 0, "email_id": 1}

# The header's size is in another table than the size: it is read only for sections that begin or end there.
_SIZES = ("size", "header_size", "file")
_SIZE_ALONE = ("size", "size", "file")


@dataclass(frozen=True, slots=True)
class Plan:
    """One FETCH command, made ready."""

    items: tuple[Item, ...]  # in the order of the reply
    sections: tuple[Section, ...]
    template: bytes  # "UID %d FLAGS %b", "" where only sections are asked for
    # Of the index: "uid", what the items need, for sections the sizes and the file at the end; empty when the view
    # knows all.
    columns: tuple[str, ...]
    marks_seen: bool
    lacking: tuple[str, ...] = ()  # of `columns` those that may have to be made from files
    uid_only: bool = False  # RFC 9586 3.2: UIDFETCH and UIDs instead of FETCH and sequence numbers
    descending: bool = False  # the highest UIDs first (RFC 9738 3.1)

    @property
    def head(self) -> bytes:
        """What each reply line begins with."""
        return b"* %d UIDFETCH (" if self.uid_only else b"* %d FETCH ("

    def numbers(self, view: View, places: Places) -> Iterable[int]:
        """The number of each line."""
        return _pick(view.uids, places) if self.uid_only else _numbers(places)


def make_plan(
    program: FetchProgram,
    *,
    by_uid: bool,
    read_only: bool,
    uid_only: bool = False,
    descending: bool = False,
) -> Plan:
    items = list(dict.fromkeys(item for item in program.items if isinstance(item, Item)))
    sections = tuple(item for item in program.items if isinstance(item, Section))
    if by_uid and not uid_only and Item.UID not in items:
        items.insert(0, Item.UID)  # RFC 3501 6.4.8
    if Item.MODSEQ not in items and program.changed_since is not None:
        items.append(Item.MODSEQ)  # RFC 7162 3.1.4.1
    columns = [column for item in items for column in _COLUMNS.get(item, ())]
    return Plan(
        items=tuple(items),
        sections=sections,
        template=b" ".join(_FORMATS[item] for item in items),
        columns=("uid", *columns, *_sizes(sections)) if columns or sections else (),
        marks_seen=program.sets_seen and not read_only,
        uid_only=uid_only,
        descending=descending,
        lacking=tuple(
            column
            for column in columns
            if column in _COMPLETED and not (column == "preview" and program.lazy)
        ),
    )


def _sizes(sections: Sequence[Section]) -> tuple[str, ...]:
    if not sections:
        return ()
    splits = any(not section.path and section.text is not Text.ALL for section in sections)
    return _SIZES if splits else _SIZE_ALONE


def chunks(spans: Spans, size: int, *, descending: bool = False) -> Iterator[Places]:
    """Positions in pieces of at most `size`; a piece of neighbours that ascend is a range."""
    if descending:
        backwards = itertools.chain.from_iterable(
            range(high - 1, low - 1, -1) for low, high in reversed(spans)
        )
        while piece := list(itertools.islice(backwards, size)):
            yield piece
        return
    places = itertools.chain.from_iterable(range(low, high) for low, high in spans)
    if len(spans) == 1:
        low, high = spans[0]
        for start in range(low, high, size):
            yield range(start, min(start + size, high))
        return
    while piece := list(itertools.islice(places, size)):
        yield piece


def page(spans: Spans, partial: tuple[int, int]) -> Spans:
    """RFC 9394 3.4: of the messages named the first to the last of `partial`; negative: counted from the end."""
    count = sum(high - low for low, high in spans)
    first, last = partial
    start, end = (count + last, count + first + 1) if first < 0 else (first - 1, last)
    chosen: Spans = []
    for low, high in spans:
        piece = max(low, low + start), min(high, low + end)
        if piece[0] < piece[1]:
            chosen.append(piece)
        start, end = start - (high - low), end - (high - low)
    return chosen


def changed_since(view: View, spans: Spans, modseq: int) -> list[int]:
    """RFC 7162 3.1.4.1: positions of the messages with a greater MODSEQ."""
    return [place for low, high in spans for place in range(low, high) if view.modseqs[place] > modseq]


def uid_ranges(view: View, places: Places) -> list[tuple[int, int]]:
    """UID ranges that name these positions and no others: between neighbours of the view the store has no message."""
    if isinstance(places, range):
        return [(view.uids[places.start], view.uids[places.stop - 1])]
    ranges: list[tuple[int, int]] = []
    last = -2
    for place in sorted(places):
        uid = view.uids[place]
        if place == last + 1:
            ranges[-1] = (ranges[-1][0], uid)
        else:
            ranges.append((uid, uid))
        last = place
    return ranges


def from_view(plan: Plan, view: View, places: Places) -> bytes:
    """Reply lines of a plan that needs no column of the index."""
    template = plan.head + plan.template + b")\r\n"
    columns = [_from_view(item, view, places) for item in plan.items]
    return b"".join(map(template.__mod__, zip(plan.numbers(view, places), *columns, strict=True)))


def from_index(
    plan: Plan, view: View, places: Places, shard: Shard, residence: Residence
) -> tuple[bytes, bool]:
    """Reply lines of a plan without sections, and whether a message was gone. Runs in a thread of the store."""
    rows = read_rows(plan, view, places, shard, residence)
    there = present(view, places, rows)
    template = plan.head + plan.template + b")\r\n"
    columns = item_columns(plan, view, there, rows)
    lines = b"".join(map(template.__mod__, zip(plan.numbers(view, there), *columns, strict=True)))
    return lines, len(there) < len(places)


def read_rows(
    plan: Plan, view: View, places: Places, shard: Shard, residence: Residence
) -> list[tuple[Any, ...]]:
    """The plan's columns of each message that is there; what an old index lacks is made now."""
    rows = shard.rows(residence, view.mailbox_id, uid_ranges(view, places), plan.columns)
    if plan.descending:
        rows.reverse()
    wanted = [plan.columns.index(column) for column in plan.lacking]
    uids = [row[0] for row in rows if any(row[at] is None for at in wanted)] if wanted else []
    if not uids:
        return rows
    made = shard.complete(residence, view.mailbox_id, [(uid, uid) for uid in uids])
    full: list[tuple[Any, ...]] = []
    for row in rows:
        values = list(row)
        for at in wanted:
            if values[at] is None and row[0] in made:
                values[at] = made[row[0]][_COMPLETED[plan.columns[at]]]
        # Expunged between the two looks: as if the first had not found it.
        if all(values[at] is not None for at in wanted):
            full.append(tuple(values))
    return full


def present(view: View, places: Places, rows: Sequence[tuple[Any, ...]]) -> Places:
    """The positions that have a row (the first column is the UID), in the order of the rows."""
    if len(rows) == len(places):
        return places
    known = {view.uids[place]: place for place in places}
    return [known[row[0]] for row in rows]


def item_columns(plan: Plan, view: View, places: Places, rows: Sequence[tuple[Any, ...]]) -> list[Column]:
    """One column of template values for each item of the plan, parallel to `places` and `rows`."""
    indexed = rows and not _COLUMNS.keys().isdisjoint(plan.items)
    found = dict(zip(plan.columns, zip(*rows, strict=True), strict=False)) if indexed else {}
    return [
        _FROM_INDEX[item](found) if indexed and item in _COLUMNS else _from_view(item, view, places)
        for item in plan.items
    ]


_FROM_INDEX: dict[Item, Callable[[dict[str, Any]], Column]] = {
    Item.INTERNALDATE: lambda found: map(
        response.internal_date, found["internaldate"], found["internaldate_zone"]
    ),
    Item.SIZE: lambda found: found["size"],
    Item.ENVELOPE: lambda found: found["envelope"],
    Item.BODY: lambda found: found["body"],
    Item.BODYSTRUCTURE: lambda found: found["bodystructure"],
    Item.PREVIEW: lambda found: map(_preview, found["preview"]),
    Item.EMAILID: lambda found: map(response.object_id, found["email_id"]),
    Item.SAVEDATE: lambda found: map(response.internal_date, found["saved_at"]),
}


def _preview(text: str | None) -> bytes:
    """RFC 8970 3.2: NIL is what LAZY gives of a preview that is not made yet."""
    return nstring(None if text is None else text.encode("utf-8"))


def _from_view(item: Item, view: View, places: Places) -> Column:
    match item:
        case Item.UID:
            return _pick(view.uids, places)
        case Item.MODSEQ:
            return _pick(view.modseqs, places)
        case Item.THREADID:
            # RFC 8474 5.2: NIL of a server that knows no threads.
            return itertools.repeat(b"NIL", len(places))
        case Item.FLAGS:
            return map(view.rendered.__getitem__, _pick(view.flags, places))
        case _:  # no row, no line
            return ()


def _pick(column: "array[int]", places: Places) -> Iterable[int]:
    if isinstance(places, range):
        return column[places.start : places.stop]
    return map(column.__getitem__, places)


def _numbers(places: Places) -> Iterable[int]:
    if isinstance(places, range):
        return range(places.start + 1, places.stop + 1)
    return (place + 1 for place in places)
