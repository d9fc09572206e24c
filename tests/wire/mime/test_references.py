import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime.references import MAX_REFERENCES, MessageIds, message_ids


@pytest.mark.parametrize(
    ("header", "own", "references"),
    [
        (b"Message-ID: <a@x>\r\n\r\n", b"a@x", []),
        (b"message-id:<a@x>\r\n", b"a@x", []),
        (b'Message-ID: <"01KF8JCEOCBS0045PS"@xxx.yyy.com>\r\n', b"01KF8JCEOCBS0045PS@xxx.yyy.com", []),
        (b'Message-ID: <"a\\"b"@x>\r\n', b'a"b@x', []),
        (b"Message-ID: <a . b @ x>\r\n", b"a.b@x", []),
        (b"Message-ID: a@x\r\n", None, []),
        (b"Message-ID: <a>\r\n", None, []),
        (b"Message-ID: <a> <b@x>\r\n", b"b@x", []),
        (b"References: <a@x> <b@x>\r\n\t<c@x>\r\nIn-Reply-To: <d@x>\r\n", None, [b"a@x", b"b@x", b"c@x"]),
        (b"References: <a@x><b@x>, junk (comment) <c>\r\n", None, [b"a@x", b"b@x"]),
        (b"References: <long-id\r\n -folded@x>\r\n", None, [b"long-id-folded@x"]),
        (b"References: none\r\nIn-Reply-To: <d@x> <e@x>\r\n", None, [b"d@x"]),
        (b'In-Reply-To: Your message of "Mon, 1 Jan 2001" <d@x>\r\n', None, [b"d@x"]),
        (b"Subject: References: <a@x>\r\n", None, []),
        (b"", None, []),
    ],
)
def test_ids(header: bytes, own: bytes | None, references: list[bytes]) -> None:
    assert message_ids(header) == MessageIds(own, references)


def test_limit() -> None:
    """The last ones count: the parent is among them."""
    ids = [b"%d@x" % n for n in range(MAX_REFERENCES + 1)]
    header = b"References: " + b" ".join(b"<%b>" % each for each in ids[1:]) + b"\r\n"
    assert message_ids(header).references == ids[1:]
    header = b"References: " + b" ".join(b"<%b>" % each for each in ids) + b"\r\n"
    assert message_ids(header).references == ids[1:]
    assert message_ids(b"References: <a@x>" + b" <junk>" * 20_000 + b"<b@x>\r\n").references == [b"b@x"]


@pytest.mark.parametrize("piece", [b"<", b'<"', b'"<', b'<"a', b"<a", b'"', b"\\", b'<"\\'])
def test_long_ones(piece: bytes) -> None:
    assert message_ids(b"References: " + piece * 300_000 + b"\r\n").references == []


@given(st.binary())
def test_never_raises(octets: bytes) -> None:
    message_ids(b"References: " + octets)
    message_ids(octets)
