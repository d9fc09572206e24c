from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.spelling import Spelling
from mailplat.wire.imap.strings import astring, string


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"atom]", b"atom]"),
        (b'"quoted \\"\\\\ string"', b'quoted "\\ string'),
        (b'""', b""),
        (b"{3}\r\na\r\n", b"a\r\n"),
        (b"{3+}\r\n(\xff)", b"(\xff)"),
        (b"{1}\nx", b"x"),
        (b'"gr\xc3\xbcn"', b"gr\xc3\xbcn"),
    ],
)
def test_astrings(octets: bytes, expected: bytes) -> None:
    arguments = Arguments(octets)
    assert arguments.astring() == expected
    arguments.end()


@pytest.mark.parametrize(
    "octets", [b"", b"(", b'"open', b'"a\r\nb"', b'"a\\b"', b'"a\0"', b"\xff", b"{x}", b"{2}\r\n\0a", b"\\x"]
)
def test_what_is_no_astring(octets: bytes) -> None:
    with pytest.raises(BadSyntax):
        Arguments(octets).astring()


@given(st.binary(max_size=50).filter(lambda octets: b"\0" not in octets))
def test_what_we_write_we_read(octets: bytes) -> None:
    for render in (astring, string):
        arguments = Arguments(render(octets))
        assert arguments.astring() == octets
        arguments.end()


def test_nstring() -> None:
    assert Arguments(b"nil").nstring() is None
    assert Arguments(b'"NIL"').nstring() == b"NIL"


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"inbox", "INBOX"),
        (b'"Inbox/sub"', "INBOX/sub"),
        (b"Inboxes", "Inboxes"),
        (b"Entw&APw-rfe", "Entwürfe"),
        (b"{5}\r\nA &-B", "A &B"),
        (b"{6}\r\nA &-B", None),
        (b'"a & b"', None),
        (b"../../etc/passwd", "../../etc/passwd"),  # a name like any other here; the store says no
        ('"Entwürfe"'.encode(), None),
        (b'"a\x01b"', None),
        (b"{3}\r\na\nb", None),
    ],
)
def test_mailbox_names(octets: bytes, name: str | None) -> None:
    arguments = Arguments(octets)
    if name is None:
        with pytest.raises(BadSyntax):
            arguments.mailbox()
    else:
        assert arguments.mailbox() == name


def test_mailbox_names_in_utf8() -> None:
    assert Arguments("Entwürfe".encode(), spelling=Spelling(utf8=True)).mailbox() == "Entwürfe"
    assert Arguments(b'"a & b"', spelling=Spelling(utf8=True)).mailbox() == "a & b"
    assert Arguments(b"Entw*/%", spelling=Spelling(utf8=True)).pattern() == "Entw*/%"
    for octets in (b'"\xff"', b'"a\x01"', b"{3}\r\na\nb"):
        with pytest.raises(BadSyntax):
            Arguments(octets, spelling=Spelling(utf8=True)).mailbox()


def test_flags() -> None:
    assert Arguments(b"(\\SEEN $Junk \\seen \\Recent x)").flags() == ("\\Seen", "$Junk", "x")
    assert Arguments(b"()").flags() == ()
    assert Arguments(b"\\Deleted x").bare_flags() == ("\\Deleted", "x")
    for octets in (
        b"(\\Seen",
        b"\\Seen",
        b"(\\Seen  x)",
        b"(\\Foo)",
        b"(\\*)",
        b"(a%)",
        b"(%b)" % (b"k" * 200),
    ):
        with pytest.raises(BadSyntax):
            Arguments(octets).flags()
    with pytest.raises(BadSyntax):
        Arguments(b"(" + b" ".join(b"k%d" % n for n in range(BOUNDS.flags + 1)) + b")").flags()


def test_dates() -> None:
    expected = date(2026, 2, 1).toordinal()
    assert Arguments(b"1-Feb-2026").date() == expected
    assert Arguments(b'"01-FEB-2026"').date() == expected
    for octets in (
        b"30-Feb-2026",
        b"1-Foo-2026",
        b"1-2-2026",
        b'"1-Feb-2026',
        b"1-Feb-26",
        b"0-Jan-2026",
        b"1-Jan-0000",
    ):
        with pytest.raises(BadSyntax):
            Arguments(octets).date()


def test_date_times() -> None:
    assert Arguments(b'" 1-Jan-1970 01:00:00 +0100"').date_time() == (0, 60)
    assert Arguments(b'"31-Dec-1969 23:30:00 -0030"').date_time() == (0, -30)
    for octets in (
        b'"1-Jan-1970 01:00:00 +0100"',
        b'" 1-Jan-1970 24:00:00 +0000"',
        b'" 1-Jan-1970 01:00:00 UTC"',
        b'" 1-Jan-1970 01:00:00 +0060"',
    ):
        with pytest.raises(BadSyntax):
            Arguments(octets).date_time()


def test_numbers() -> None:
    assert Arguments(b"4294967295").number() == 4294967295
    assert Arguments(b"9223372036854775807").number64() == 2**63 - 1
    for octets in (b"4294967296", b"", b"-1", b"x", b"9" * 10_000):
        with pytest.raises(BadSyntax):
            Arguments(octets).number()
    with pytest.raises(BadSyntax):
        Arguments(b"0").number(least=1)
    with pytest.raises(BadSyntax):
        Arguments(b"9" * 20).number64()


def test_lists() -> None:
    arguments = Arguments(b"(a b c) ")
    assert arguments.items(arguments.atom) == [b"a", b"b", b"c"]
    arguments.end()  # spaces at the end are let pass
    for octets in (b"(a", b"(a b", b"( a)", b"(a )", b"a", b""):
        with pytest.raises(BadSyntax):
            Arguments(octets).items(Arguments(octets, 1).atom)
    with pytest.raises(BadSyntax):
        Arguments(b"()").items(arguments.atom, empty=False)


def test_errors_say_nothing_of_what_was_sent() -> None:
    for octets in (b"secret", b"(secret"):
        with pytest.raises(BadSyntax) as error:
            Arguments(octets).keyword("A", "B")
        assert "secret" not in str(error.value).lower()
