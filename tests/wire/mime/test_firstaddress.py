import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime import render_envelope, scan
from mailplat.wire.mime.addresses import parse
from mailplat.wire.mime.firstaddress import Field, display_text, first_address, mailbox_text


def envelope(header: bytes) -> bytes:
    return render_envelope(scan(header + b"\r\n\r\n"))


@pytest.mark.parametrize(
    ("header", "mailbox", "display"),
    [
        (b"From: Ann Lee <ann@x.test>, bob@y", "ann", "Ann Lee"),
        (b"From: ann@x.test", "ann", "ann@x.test"),
        (b'From: "" <ann@x.test>', "ann", "ann@x.test"),
        (b'From: "Lee, \\"Ann\\"" <ann@x>', "ann", 'Lee, "Ann"'),
        (b"From: =?utf-8?q?J=C3=BCrgen?= <j@x>", "j", "Jürgen"),
        ("From: Jürgen <jü@x>".encode(), "jü", "Jürgen"),
        (b"From: ann", "ann", "ann@"),
        (b"From: friends: ann@x, bob@y;", "friends", "friends"),
        (b"From: " + b"n" * 1200 + b" <ann@x>", "ann", "n" * 1000),
        (b"To: ann@x", "", ""),
        (b"From:", "", ""),
    ],
)
def test_from(header: bytes, mailbox: str, display: str) -> None:
    """RFC 5256 3 and RFC 5957 3."""
    address = first_address(envelope(header), "from")
    assert mailbox_text(address) == mailbox
    assert display_text(address) == display


def test_places() -> None:
    shown = envelope(
        b'Subject: a \\ "b" (c) NIL\r\nFrom: f@x\r\nSender: s@x\r\nReply-To: r@x, r2@x\r\nTo: t@x, t2@x\r\nCc: c@x'
    )
    assert [mailbox_text(first_address(shown, field)) for field in ("from", "to", "cc")] == ["f", "t", "c"]


def test_literals_before_it() -> None:
    subject = 'Subject: grün ((("\r\n'.encode()
    shown = envelope(subject + b'From: f@x\r\nTo: "' + "Ü".encode() + b'" <t@x>\r\nCc: c@x')
    assert [mailbox_text(first_address(shown, field)) for field in ("from", "to", "cc")] == ["f", "t", "c"]
    assert display_text(first_address(shown, "to")) == "Ü"
    assert first_address(envelope(subject + b"Cc: c@x"), "to") is None


NAMES = st.binary(max_size=12).map(
    lambda name: name.replace(b"\n", b"").replace(b"\r", b"").replace(b"\0", b"")
)


@given(NAMES, st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3))
def test_it_reads_what_was_rendered(
    subject: bytes, senders: list[bytes], to: list[bytes], cc: list[bytes]
) -> None:
    lines = [
        b"Subject: " + subject,
        b"From: " + b",".join(senders),
        b"To: " + b",".join(to),
        b"Cc: " + b",".join(cc),
    ]
    header = b"\r\n".join(lines)
    part = scan(header + b"\r\n\r\n")
    shown = render_envelope(part)
    fields: tuple[tuple[Field, bytes], ...] = (("from", b"from"), ("to", b"to"), ("cc", b"cc"))
    for field, name in fields:
        parsed = [address for value in part.fields.get(name, []) for address in parse(value)]
        assert first_address(shown, field) == (parsed[0] if parsed else None)
