import pytest

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.fetch import Section, parse_fetch
from mailplat.wire.mime import extract, scan, select_fields, span, span_without_scan
from tests.wire.mime.samples import corpus

INNER_HEADER = b"Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
INNER_BODY = b"--i\r\nX: 1\r\n\r\nfirst\r\n--i\r\n\r\nsecond\r\n--i--"
HEADER = b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
BODY = (
    b"--o\r\n\r\nplain\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
    + INNER_HEADER
    + INNER_BODY
    + b"\r\n--o--\r\n"
)
NESTED = HEADER + BODY
SINGLE = b"Subject: single\r\n\r\nonly text\r\n"


def section(text: str) -> Section:
    program = parse_fetch(Arguments(b" 1 BODY[" + text.encode() + (b"" if text.endswith(">") else b"]")))
    [item] = program.items
    assert isinstance(item, Section)
    return item


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("", NESTED),
        ("HEADER", HEADER),
        ("TEXT", BODY),
        ("1", b"plain"),
        ("1.MIME", b"\r\n"),
        ("1.HEADER", None),
        ("1.1", None),
        ("2", INNER_HEADER + INNER_BODY),
        ("2.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        ("2.HEADER", INNER_HEADER),
        ("2.HEADER.FIELDS (SUBJECT X)", b"Subject: inner\r\n\r\n"),
        ("2.TEXT", INNER_BODY),
        ("2.1", b"first"),
        ("2.1.MIME", b"X: 1\r\n\r\n"),
        ("2.2", b"second"),
        ("2.3", None),
        ("3", None),
        ("2.1.1", None),
        ("]<0.7>", NESTED[:7]),
        ("TEXT]<5.10>", BODY[5:15]),
        ("1]<3.100>", b"in"),
        ("1]<5.1>", b""),
        ("1]<4000000000.4000000000>", b""),
        ("HEADER.FIELDS (subject)]<9.5>", b"outer"),
    ],
)
def test_nested_message(wanted: str, expected: bytes | None) -> None:
    assert extract(NESTED, scan(NESTED), section(wanted)) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("1", b"only text\r\n"),  # RFC 3501 6.4.5: a message that is no multipart has part 1
        ("1.MIME", b"Subject: single\r\n\r\n"),
        ("1.TEXT", None),
        ("1.1", None),
        ("2", None),
    ],
)
def test_message_that_is_no_multipart(wanted: str, expected: bytes | None) -> None:
    assert extract(SINGLE, scan(SINGLE), section(wanted)) == expected


def test_message_that_is_a_message() -> None:
    octets = b"Content-Type: message/rfc822\r\n\r\n" + NESTED
    part = scan(octets)
    assert extract(octets, part, section("1")) == NESTED
    assert extract(octets, part, section("1.HEADER")) == HEADER
    assert extract(octets, part, section("1.2.1")) == b"first"
    assert extract(octets, part, section("TEXT")) == NESTED


def test_sections_that_need_no_scan() -> None:
    size, header_size = len(NESTED), len(HEADER)
    for wanted in ("", "HEADER", "TEXT", "]<2.20>", "TEXT]<9999.1>"):
        found = span_without_scan(section(wanted), size, header_size)
        assert found == span(scan(NESTED), section(wanted))
        assert found is not None
    assert span_without_scan(section("1"), size, header_size) is None
    assert span_without_scan(section("HEADER.FIELDS (A)"), size, header_size) is None


def test_header_fields() -> None:
    header = b"From x\r\nA: 1\r\nB: 2\r\n more\r\nA : 3\r\nlast: 4\r\n\r\n"
    assert select_fields(header, {b"a"}, invert=False) == b"A: 1\r\nA : 3\r\n\r\n"
    assert select_fields(header, {b"b"}, invert=False) == b"B: 2\r\n more\r\n\r\n"
    assert select_fields(header, {b"a", b"last"}, invert=True) == b"From x\r\nB: 2\r\n more\r\n\r\n"
    assert select_fields(header, {b"none"}, invert=False) == b"\r\n"
    assert (
        select_fields(b"A: 1", {b"a"}, invert=False) == b"A: 1"
    )  # RFC 3501 6.4.5: no empty line where none is
    assert select_fields(b"A: 1\nB: 2\n\n", {b"b"}, invert=False) == b"B: 2\n\n"
    assert select_fields(b"", {b"b"}, invert=True) == b""


def test_header_and_text_are_the_whole_message() -> None:
    for octets in corpus():
        part = scan(octets)
        header, text = extract(octets, part, section("HEADER")), extract(octets, part, section("TEXT"))
        assert header is not None
        assert text is not None
        assert header + text == octets
        assert select_fields(header, (), invert=True) == (
            header if header.endswith(b"\n\r\n") else header + b"\r\n"
        )


def test_header_fields_of_real_mail_are_all_of_them() -> None:
    """Named and not named together are the header, whichever way each is found."""
    names = {b"from", b"received", b"subject", b"x-mailer"}
    for octets in corpus()[::5]:
        part = scan(octets)
        header = octets[part.start : part.body]
        named = select_fields(header, names, invert=False)
        others = select_fields(header, names, invert=True)
        assert select_fields(others, names, invert=False) == b"\r\n"
        assert select_fields(named, names, invert=True) == b"\r\n"
        assert sorted((named + others).splitlines()) == sorted([*header.splitlines(), b""])
