"""The Date field, as a moment and as a day (RFC 5322 3.3, its obsolete forms and what mailers make of it)."""

import re
from datetime import date

# No field that is a date is longer; a longer one is not looked at.
_LONGEST = 200

_MONTHS = {
    name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}
_MONTH = rb"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*+\.?"
_TIME = rb"(\d{1,2})\s?[:.](\d{1,2})(?:\s?[:.](\d{1,2}))?"
# Tue, 1 Jul 2003 10:52:37 +0200
_USUAL = re.compile(
    rb"(?:[a-z]++\.?,?\s*+)?(\d{1,2})[\s-]*+"
    + _MONTH
    + rb",?[\s-]*+(\d{2,4})(?:,?\s++"
    + _TIME
    + rb"\s*+(\S*+))?",
    re.IGNORECASE,
)
# Tue Jul  1 10:52:37 [MEST] 2003 (ctime, asctime)
_CTIME = re.compile(
    rb"[a-z]++,?\s++" + _MONTH + rb"\s++(\d{1,2}),?\s++" + _TIME + rb"\s++(?:([a-z]+|[+-]\d{4})\s++)?(\d{4})",
    re.IGNORECASE,
)
_COMMENT = re.compile(rb"\([^()]*+\)")
_OFFSET = re.compile(rb"(?:GMT|UTC?)?([+-])(\d{1,2}):?(\d{2})(?!\d)", re.IGNORECASE)

# RFC 5322 4.3: minutes east of Greenwich; a zone not listed counts as -0000, that is UTC.
_ZONES = {
    b"EST": -300, b"EDT": -240, b"CST": -360, b"CDT": -300, b"MST": -420, b"MDT": -360, b"PST": -480, b"PDT": -420,
}  # fmt: skip


def parse_date(value: bytes) -> tuple[int | None, int | None]:
    """(Unix seconds, ordinal of the calendar day as written, its zone disregarded) of a Date value; None for
    what cannot be read. A day without a time of day is midnight UTC."""
    if len(value) > _LONGEST:
        return None, None
    if b"(" in value:
        value = _COMMENT.sub(b" ", value)
    value = value.strip()
    if match := _USUAL.match(value):
        day, month, year, hour, minute, second, zone = match.groups()
    elif match := _CTIME.match(value):
        month, day, hour, minute, second, zone, year = match.groups()
    else:
        return None, None
    try:
        ordinal = date(_year(year), _MONTHS[month.lower()], int(day)).toordinal()
    except ValueError:
        return None, None
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    if seconds > 86_400:  # 23:59:60 is a leap second
        return None, ordinal
    return (ordinal - _EPOCH) * 86_400 + seconds - zone_minutes(zone or b"") * 60, ordinal


_EPOCH = date(1970, 1, 1).toordinal()


def zone_minutes(zone: bytes) -> int:
    """Minutes east of Greenwich of a zone as RFC 5322 4.3 names it; 0 for one that is unknown."""
    if match := _OFFSET.match(zone):
        minutes = int(match[2]) * 60 + int(match[3])
        return -minutes if match[1] == b"-" else minutes
    return _ZONES.get(zone.upper(), 0)


def _year(text: bytes) -> int:
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)  # RFC 5322 4.3
    if len(text) == 3:
        return year + 1900
    return year
