"""Binary parts become base64, and nothing else changes."""

import base64
import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.spool import Body
from mailplat.ingress.content import has_bare_ends
from mailplat.wire.mime.binary import encode_binary

OUTER = (
    b'Subject: x\r\nContent-Type: multipart/mixed; boundary="b"\r\nContent-Transfer-Encoding: %b\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n"
    b"--b\r\nContent-Type: application/pdf\r\ncontent-transfer-encoding:\r\n binary\r\nContent-ID: <1>\r\n\r\n%b\r\n"
    b"--b--\r\nend\r\n"
)


@given(st.binary(max_size=400).filter(lambda octets: b"--b" not in octets))
def test_a_part_of_any_octets(content: bytes) -> None:
    text = encode_binary(OUTER % (b"binary", content))
    message = email.message_from_bytes(text, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    first, second = message.iter_parts()
    assert (
        first.get_content() == "text\r\n" or first.get_content() == "text\n" or first.get_content() == "text"
    )
    assert second.get_payload(decode=True) == content
    assert message["content-transfer-encoding"] == "8bit"
    assert second["content-id"] == "<1>"
    assert text.endswith(b"\r\n--b--\r\nend\r\n")
    assert not has_bare_ends(Body.of(text))


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 114, 10_000])
def test_lines_of_base64(size: int) -> None:
    content = b"\0" * size
    text = encode_binary(b"Content-Transfer-Encoding: BINARY\r\n\r\n" + content)
    head, _, body = text.partition(b"\r\n\r\n")
    assert head == b"Content-Transfer-Encoding: base64"
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    assert base64.b64decode(body) == content
    assert body.endswith(b"\r\n") or not size


@pytest.mark.parametrize("encoding", [b"7bit", b"8bit", b"base64", b"x-binary"])
def test_others_stay_as_they_are(encoding: bytes) -> None:
    octets = OUTER % (encoding, b"text")
    octets = octets.replace(b"\r\n binary", b" " + encoding)
    assert encode_binary(octets) == octets


def test_within_a_message_within_a_message() -> None:
    inner = b"Subject: y\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\r"
    outer = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    text = encode_binary(outer + inner)
    assert text.startswith(
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: y\r\n"
    )
    assert base64.b64decode(text.rpartition(b"\r\n\r\n")[2]) == b"\0\n\r"


@pytest.mark.parametrize(
    ("octets", "bare"),
    [
        (b"", False),
        (b"a\r\n", False),
        (b"a\n", True),
        (b"a\r", True),
        (b"\r\r\n", True),
        (b"a\r\nb\nc\r\n", True),
    ],
)
def test_bare_ends(octets: bytes, bare: bool) -> None:
    assert has_bare_ends(Body.of(octets)) is bare


def test_a_line_end_across_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailplat.ingress.content._CHUNK", 3)
    assert not has_bare_ends(Body.of(b"ab\r\ncd\r\n\r\n"))
    assert has_bare_ends(Body.of(b"ab\rcd\r\n"))
