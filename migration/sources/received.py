"""When a message came, where the source says nothing but its octets (POP3).

The rule: the date of the topmost Received field, behind its last ";" (RFC 5322 3.6.7): the one that the last server
added, the source itself. Where that cannot be read the Date field; where there is none, None. A date in the future
beyond a day, or before 1980, counts as one that cannot be read.
"""

import re

from mailplat.core.spool import Body
from mailplat.wire.mime.dates import parse_date, zone_minutes

# Of a message, what is looked at. Trace fields stand at its top; one of ours in a thousand has more than 16 KiB.
HEAD = 64 * 1024
_EARLIEST = 315_532_800  # 1980-01-01
_AHEAD_S = 86_400

_FIELD = re.compile(rb"^(received|date)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_ZONE = re.compile(rb"([+-]\d{4}|[A-Za-z]{1,5})\s*(?:\([^()]*\)\s*)*\Z")


def arrival(body: Body, now: float) -> tuple[int, int] | None:
    """(Unix seconds, zone in minutes east of UTC)."""
    with body.open() as file:
        head = file.read(HEAD)
    end = re.search(rb"\r?\n\r?\n", head)
    found: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(head[: end.start()] if end else head):
        found.setdefault(name.lower(), _FOLD.sub(b"", value).strip())
    for text in (found.get(b"received", b"").rpartition(b";")[2], found.get(b"date", b"")):
        seconds, _ = parse_date(text)
        if seconds is not None and _EARLIEST <= seconds <= now + _AHEAD_S:
            zone = _ZONE.search(text)
            return seconds, zone_minutes(zone[1]) if zone else 0
    return None
