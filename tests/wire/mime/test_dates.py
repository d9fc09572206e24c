from datetime import date, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime import scan
from mailplat.wire.mime.dates import parse_date
from tests.wire.mime.samples import corpus

DAY = date(2003, 7, 1).toordinal()
NOON = 1_057_060_800  # 2003-07-01 12:00:00 UTC


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"Tue, 1 Jul 2003 12:00:00 +0000", NOON),
        (b"Tue, 01 Jul 2003 14:00:00 +0200 (CEST)", NOON),
        (b"1 Jul 2003 12:00 GMT", NOON),
        (b"Tue, 1 Jul 03 08:00:00 EDT", NOON),
        (b"Tue,1 July 2003 12:00:00", NOON),
        (b"Tue Jul  1 12:00:00 2003", NOON),
        (b"Tue Jul  1 12:00:00 PST 2003", NOON + 8 * 3600),
        (b"Tue, 1-Jul-2003 12:00:00 -0030", NOON + 1800),
        (b"Tuesday, 1 Jul 2003 12.00.00 UTC", NOON),
        (b"1 Jul 2003", NOON - 12 * 3600),
    ],
)
def test_dates(value: bytes, seconds: int) -> None:
    assert parse_date(value) == (seconds, DAY)


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"32 Jul 2003 1:00:00 +0000", b"1 Foo 2003", b"1 Jul 0", b"(" * 200]
)
def test_no_dates(value: bytes) -> None:
    assert parse_date(value) == (None, None)


def test_day_without_a_time_that_exists() -> None:
    assert parse_date(b"1 Jul 2003 99:00:00 +0000") == (None, DAY)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_what_the_standard_library_writes(moment: datetime, zone: int) -> None:
    written = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=zone)))
    found = parse_date(format_datetime(written).encode())
    assert found == (int(written.timestamp()), written.date().toordinal())


@given(st.binary(max_size=60))
def test_any_octets(value: bytes) -> None:
    parse_date(value)


def test_nearly_all_real_dates() -> None:
    dates = [scan(octets).first(b"date") for octets in corpus()]
    unread = [value for value in dates if value and parse_date(value)[0] is None]
    assert len(unread) <= 2
