"""SORT and UID SORT (RFC 5256), SORT=DISPLAY (RFC 5957), ESORT (RFC 5267)."""

import os
from pathlib import Path
from typing import Any

import pytest

from mailplat.core.spool import Body
from mailplat.store.types import NewMessage
from tests.access.imap.conftest import Rig


def letter(subject: str, sender: str, to: str, cc: str, date: str, body: str = "") -> bytes:
    fields = {"Subject": subject, "From": sender, "To": to, "Cc": cc, "Date": date}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"{lines}\r\n{body}".encode()


# Arrival in the order 2 1 3 4 5.
LETTERS = (
    (
        20,
        letter(
            "Re: apple", "Zoe <ann@x>", "m@x", "b@x", "Tue, 1 Jan 2019 10:00:00 +0200", "longest text of all"
        ),
    ),
    (10, letter("[list] banana", "bob@x", "Ann <z@x>", "", "Tue, 1 Jan 2019 09:00:00 +0100", "x")),
    (30, letter("Apple (fwd)", "=?utf-8?q?=C3=84nne?= <carl@x>", "k@x, a@x", "a@x", "no date at all", "xx")),
    (40, letter("cherry", "", "", "", "", "xxx")),
    (50, letter("", "Ann <BOB@x>", "list: q@x;", "c@x", "Tue, 1 Jan 2019 08:59:59 GMT", "xxxx")),
)


@pytest.fixture
async def filled(rig: Rig) -> Rig:
    new = [NewMessage(Body.of(octets), internaldate=arrival) for arrival, octets in LETTERS]
    await rig.store.append(rig.residence, "INBOX", new)
    return rig


@pytest.mark.parametrize(
    ("criteria", "order"),
    [
        ("ARRIVAL", "2 1 3 4 5"),
        ("REVERSE ARRIVAL", "5 4 3 1 2"),
        ("SIZE", "4 5 2 3 1"),
        ("SUBJECT", "5 1 3 2 4"),
        ("REVERSE SUBJECT", "4 2 1 3 5"),  # 1 and 3 are equal: in their order
        ("SUBJECT REVERSE ARRIVAL", "5 3 1 2 4"),
        # 1 and 2 at the same moment; 3 and 4 have no date: when they arrived, in 1970
        ("DATE", "3 4 1 2 5"),
        ("REVERSE DATE", "5 1 2 4 3"),
        ("FROM", "4 1 2 5 3"),
        ("TO", "4 3 5 1 2"),  # the first address is the name of a group
        ("CC", "2 4 3 1 5"),
        ("DISPLAYFROM", "4 5 3 2 1"),  # the diaeresis comes behind N and before B
        ("DISPLAYTO", "4 2 3 5 1"),
        ("FROM DATE", "4 1 2 5 3"),
        ("FROM REVERSE DATE", "4 1 5 2 3"),
    ],
)
async def test_criteria(filled: Rig, criteria: str, order: str) -> None:
    client = await filled.login("INBOX")
    assert await client.ok(f"SORT ({criteria}) UTF-8 ALL") == [b"* SORT " + order.encode()]


async def test_dates_that_are_none(rig: Rig) -> None:
    """RFC 5256 2.2: an unknown zone is UTC, an unknown time midnight, an unknown date INTERNALDATE."""
    dates = (
        "Tue, 1 Jan 2019 00:00:01 +-0500",
        "Tue, 1 Jan 2019 25:61:00 +0000",
        "Tue, 1 Jan 0119 00:00:00 +0000",
        "Tue, 32 Jan 2019 00:00:00 +0000",
        "Tue, 1 Jan 2019",
    )
    arrivals = (0, 0, 1546300802, 1546300803, 0)  # 2019-01-01T00:00:02Z and a second later
    new = [
        NewMessage(Body.of(letter("x", "", "", "", date)), internaldate=arrival)
        for date, arrival in zip(dates, arrivals, strict=True)
    ]
    await rig.store.append(rig.residence, "INBOX", new)
    client = await rig.login("INBOX")
    assert await client.ok("SORT (DATE) UTF-8 ALL") == [b"* SORT 2 5 1 3 4"]


async def test_transcript(filled: Rig) -> None:
    client = await filled.login("INBOX")
    await client.talk(
        """
        C: a UID SORT (REVERSE ARRIVAL) US-ASCII 2:4
        S: * SORT 4 3 2
        S: a OK UID SORT completed
        C: b SORT (ARRIVAL) UTF-8 SUBJECT nothing
        S: * SORT
        S: b OK SORT completed
        C: c SORT (ARRIVAL) KOI8-R ALL
        S: c NO [BADCHARSET (US-ASCII UTF-8)] Charset is not supported
        C: d SORT (BCC) UTF-8 ALL
        S: d BAD ...
        C: e SORT (REVERSE ARRIVAL) UTF-8 MODSEQ 1 1:2
        S: * OK [HIGHESTMODSEQ ...
        S: * SORT 1 2 (MODSEQ ...)
        S: e OK SORT completed
        """
    )


async def test_extended(filled: Rig) -> None:
    """RFC 5267 3; MIN and MAX are the first and the last of the order."""
    client = await filled.login("INBOX")
    await client.talk(
        """
        C: a SORT RETURN (MIN MAX COUNT ALL) (ARRIVAL) UTF-8 ALL
        S: * ESEARCH (TAG "a") MIN 2 MAX 5 ALL 2,1,3:5 COUNT 5
        S: a OK SORT completed
        C: b UID SORT RETURN () (REVERSE ARRIVAL) UTF-8 ALL
        S: * ESEARCH (TAG "b") UID ALL 5,4,3,1:2
        S: b OK UID SORT completed
        C: c SORT RETURN (PARTIAL 2:3) (ARRIVAL) UTF-8 ALL
        S: * ESEARCH (TAG "c") PARTIAL (2:3 1,3)
        S: c OK SORT completed
        C: d SORT RETURN (SAVE MIN) (ARRIVAL) UTF-8 ALL
        S: * ESEARCH (TAG "d") MIN 2
        S: d OK SORT completed
        C: e SEARCH $
        S: * SEARCH 2
        S: e OK SEARCH completed
        C: f SORT RETURN (SAVE) (ARRIVAL) UTF-8 3:4
        S: f OK SORT completed
        C: g SORT (REVERSE SIZE) UTF-8 $
        S: * SORT 3 4
        S: g OK SORT completed
        C: h SORT RETURN (SAVE) (ARRIVAL) KOI8-R ALL
        S: h NO ...
        C: i SEARCH $
        S: * SEARCH
        S: i OK SEARCH completed
        """
    )


async def test_empty_mailbox(rig: Rig) -> None:
    client = await rig.login("INBOX")
    assert await client.ok("SORT (SUBJECT) UTF-8 ALL") == [b"* SORT"]


async def test_no_expunge_while_it_runs(filled: Rig) -> None:
    """RFC 5256 3; under UID it may come."""
    client, other = await filled.login("INBOX"), await filled.login("INBOX")
    await other.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    assert await client.ok("SORT (ARRIVAL) UTF-8 2:5") == [b"* SORT 2 4 5"]
    lines = await client.ok("UID SORT (REVERSE ARRIVAL) UTF-8 ALL")
    assert lines == [b"* 3 EXPUNGE", b"* SORT 5 4 1 2"]


async def test_no_file_is_opened(filled: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await filled.login("INBOX")
    opened: list[Path] = []
    real = os.open

    def watched(path: Any, *args: Any, **more: Any) -> int:
        opened.append(path)
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", watched)
    for criterion in ("ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"):
        await client.ok(f"SORT ({criterion}) UTF-8 ALL")
    assert opened == []
