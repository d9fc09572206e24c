"""What POP3 clients know a message by, and its place in their list (RFC 1939 7), as one text that is kept with it.

    ""                UIDVALIDITY and UID, in the order of UIDs
    "UID7-1700"       a UIDL that another platform gave
    "12 UID7-1700"    the same, in the place of UID 12

Places come with messages of a platform whose POP3 has an order of its own. They are always exchanged among messages:
each has the UID of another one's, so that what comes later is behind them all. No UIDL holds a space, so the text is
read back without doubt.
"""

import re
from collections.abc import Iterable

from mailplat.core.errors import InvalidInput

_TEXT = re.compile(r"(?:([1-9][0-9]{0,9}) )?([\x21-\x7e]{1,70})")


def check_uidl(text: str) -> None:
    """Raises InvalidInput."""
    if not _TEXT.fullmatch(text):
        raise InvalidInput(f"{text[:80]!r} is no UIDL: 1 to 70 visible ASCII characters")


def split(text: str) -> tuple[int, str]:
    """The UID whose place it has, 0 for its own, and the UIDL."""
    place, space, uidl = text.rpartition(" ")
    return (int(place), uidl) if space else (0, text)


def in_places(ordered: Iterable[tuple[int, str]]) -> dict[int, str]:
    """By UID, from UIDs and UIDLs in the order of POP3."""
    pairs = list(ordered)
    places = sorted(uid for uid, _ in pairs)
    return {
        uid: uidl if uid == place else f"{place} {uidl}"
        for (uid, uidl), place in zip(pairs, places, strict=True)
    }
