"""What POP3 clients know a message by, and its place in their list (RFC 1939 7), as one text that is kept with it.

    ""                UIDVALIDITY and UID, in the order of UIDs
    "UID7-1700"       a UIDL that another platform gave
    "12 UID7-1700"    the same, in the place of UID 12
    "12.5 UID7-1700"  the same, behind that and before the next one

Places come with messages of a platform whose POP3 has an order of its own. Among messages that come together they are
exchanged: each has the UID of another one's, so that what comes later is behind them all. One that comes later and
belongs between two that are here gets a place between theirs. No UIDL holds a space, so the text is read back without
doubt.
"""

import re
from collections.abc import Mapping, Sequence

from mailplat.core.errors import InvalidInput

_TEXT = re.compile(r"(?:((?:0(?=\.)|[1-9][0-9]{0,9})(?:\.[0-9]{1,6})?) )?([\x21-\x7e]{1,70})")


def check_uidl(text: str) -> None:
    """Raises InvalidInput."""
    if not _TEXT.fullmatch(text):
        raise InvalidInput(f"{text[:80]!r} is no UIDL: 1 to 70 visible ASCII characters")


def split(text: str) -> tuple[float, str]:
    """Its place among UIDs, 0.0 for that of its own, and the UIDL; what is no such text, as it is."""
    said = _TEXT.fullmatch(text)
    return (float(said[1] or 0.0), said[2]) if said else (0.0, text)


def in_places(ordered: Sequence[tuple[int, str]], kept: Mapping[int, float] | None = None) -> dict[int, str]:
    """By UID, from UIDs and UIDLs in the order of POP3. `kept`: places of those that are here already, which stay and
    are left out. Raises InvalidInput where there is no room between two of these any more."""
    kept = kept or {}
    found: dict[int, str] = {}
    before, run = 0.0, list[tuple[int, str]]()
    for uid, uidl in ordered:
        if uid in kept:
            found.update(_between(run, before, kept[uid]))
            before, run = max(before, kept[uid]), []
        else:
            run.append((uid, uidl))
    found.update(_behind(run, before))
    return found


def _behind(run: Sequence[tuple[int, str]], before: float) -> dict[int, str]:
    """Behind all that are here: they exchange their UIDs."""
    places = sorted(uid for uid, _ in run)
    if places and places[0] <= before:
        return _between(run, before, float(int(before) + 1))
    return {
        uid: uidl if uid == place else f"{place} {uidl}"
        for (uid, uidl), place in zip(run, places, strict=True)
    }


def _between(run: Sequence[tuple[int, str]], before: float, behind: float) -> dict[int, str]:
    found: dict[int, str] = {}
    for number, (uid, uidl) in enumerate(run, 1):
        place = round(before + (behind - before) * number / (len(run) + 1), 6)
        if not before < place < behind:
            raise InvalidInput(f"there is no place left between {before} and {behind} for UIDL {uidl}")
        found[uid] = f"{place:.6f}".rstrip("0").rstrip(".") + f" {uidl}"
    return found
