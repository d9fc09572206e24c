"""SORT (RFC 5256 3): messages in the order of what the index keeps of them; no file is opened.

One pass over the rows makes a key of each message for each criterion, in windows, so that ENVELOPEs, the largest of
what is read, are never in memory for all messages at once. Forms that are compared (base subjects, folded
names) are made anew each time: that costs some microseconds a message, and the index need not hold them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mailplat.core.errors import LimitReached
from mailplat.core.route import Residence
from mailplat.store import rendered
from mailplat.store.search import deadline_of
from mailplat.store.site import Site
from mailplat.wire.imap.sequence import ranges
from mailplat.wire.imap.sorting import Criterion, Order
from mailplat.wire.mime.collation import unicode_casemap
from mailplat.wire.mime.firstaddress import Field, display_text, first_address, mailbox_text
from mailplat.wire.mime.subjects import base_subject

# Messages whose rows are in memory at once, and between two looks at the clock: an ENVELOPE may have a megabyte.
_WINDOW = 250

_DAY = 86_400
_EPOCH_DAY = 719_163  # datetime.date(1970, 1, 1).toordinal()
_FIRST_DAY = 693_596  # datetime.date(1900, 1, 1).toordinal()

# A row: UID, small columns, then those of `rendering` that were asked for.
_SMALL = ("m.uid", "m.internaldate", "m.size")

Row = Sequence[Any]
Key = Callable[[Row], Any]


def sort(
    site: Site, residence: Residence, mailbox_id: int, uids: Sequence[int], orders: Sequence[Order]
) -> list[int]:
    """Those of `uids`, ascending, that are there, sorted; where all criteria are equal by UID, also under REVERSE
    (RFC 5256 3). Raises NotFound, LimitReached as `windows` does."""
    columns: list[str] = []
    makers = [_maker(order.criterion, columns) for order in orders]
    keys: list[list[Any]] = [[] for _ in orders]
    present: list[int] = []
    for window in windows(site, residence, mailbox_id, uids, columns):
        present += [row[0] for row in window]
        for made, maker in zip(keys, makers, strict=True):
            made += map(maker, window)
    places = list(range(len(present)))
    # The last criterion first: sorting is stable, in reverse too.
    for order, made in zip(reversed(orders), reversed(keys), strict=True):
        places.sort(key=made.__getitem__, reverse=order.reverse)
    return [present[place] for place in places]


def windows(
    site: Site, residence: Residence, mailbox_id: int, uids: Sequence[int], columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of UID, INTERNALDATE, size and columns of `rendering r`, in UID order, piece by piece. Raises NotFound,
    LimitReached when all that is done with them takes longer than limits.search_seconds."""
    deadline = deadline_of(site)
    for start in range(0, len(uids), _WINDOW):
        if start and site.clock.monotonic() > deadline:
            raise LimitReached(
                f"sorting took longer than {site.limits.search_seconds:g} s; sort fewer messages"
            )
        wanted = ranges(uids[start : start + _WINDOW])
        yield rendered.window(site, residence, mailbox_id, wanted, (*_SMALL, *columns))


def sent_moment(internaldate: int, sent: int | None, day: int | None) -> int:
    """The sent date (RFC 5256 2.2), Unix seconds: of the Date field; midnight UTC of its day where the time cannot be
    read; INTERNALDATE where there is no day, or one before 1900, when nobody sent mail (RFC 5322 3.3)."""
    if day is None or day < _FIRST_DAY:
        return internaldate
    return (day - _EPOCH_DAY) * _DAY if sent is None else sent


def _maker(criterion: Criterion, columns: list[str]) -> Key:
    """Makes the key of a row; adds the columns that it needs."""

    def column(name: str) -> int:
        if name not in columns:
            columns.append(name)
        return 3 + columns.index(name)

    match criterion:
        case "ARRIVAL":
            return lambda row: row[1]
        case "SIZE":
            return lambda row: row[2]
        case "DATE":
            sent, day = column("r.sent"), column("r.sent_day")
            return lambda row: sent_moment(row[1], row[sent], row[day])
        case "SUBJECT":
            subject = column("r.subject")
            return lambda row: unicode_casemap(base_subject(row[subject]).text)
        case _:
            return _address(criterion, column("r.envelope"))


# Criterion -> field, and what is compared of its first address.
_ADDRESSES: dict[Criterion, tuple[Field, Callable[..., str]]] = {
    "CC": ("cc", mailbox_text),
    "FROM": ("from", mailbox_text),
    "TO": ("to", mailbox_text),
    "DISPLAYFROM": ("from", display_text),
    "DISPLAYTO": ("to", display_text),
}


def _address(criterion: Criterion, envelope: int) -> Key:
    field, text = _ADDRESSES[criterion]
    return lambda row: unicode_casemap(text(first_address(row[envelope], field)))
