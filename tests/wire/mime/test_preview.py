"""The first words of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime import scan
from mailplat.wire.mime.preview import MAX_PREVIEW, preview
from tests.wire.mime.samples import corpus, vectors


def said(octets: bytes) -> str:
    return preview(octets, scan(octets))


def plain(text: str) -> str:
    return said(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode())


def marked(text: str) -> str:
    return said(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + text.encode())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello,\r\n\r\n  how   are\tyou?\r\n", "Hello, how are you?"),
        ("On Monday Bob wrote:\r\n> old\r\n> text\r\n\r\nNew\r\n", "New"),
        ("> old\r\n>> older\r\n", "old older"),
        ("Fine.\r\n-- \r\nBob, Example Ltd\r\n", "Fine."),
        ("=========\r\n* NEWS *\r\n---------\r\ntext", "* NEWS * text"),
        ("x" * 300, "x" * MAX_PREVIEW),
        ("ü" * 300, "ü" * MAX_PREVIEW),
        ("a\0b\x1bc", "a b c"),
        ("soft\u00adhyphen \u200b\u200c", "softhyphen"),
        ("", ""),
        (" \r\n\r\n", ""),
    ],
)
def test_plain_text(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<html><head><title>T</title><style>p { x }</style></head><body><p>One</p><p>two</p>", "One two"),
        ("<p>f&uuml;r <b>d</b>ich &amp; mich</p>", "für dich & mich"),
        ("a<br>b<SCRIPT>if (a < b) {}</SCRIPT>c", "a b c"),
        ("a <!-- > not this --> b", "a b"),
        ("1 < 2 and 3 <4", "1 < 2 and 3 <4"),
        ("text <!-- without an end", "text"),
        ("text <style> without an end", "text"),
        ("text <a href=without an end", "text"),
        ("<!DOCTYPE html><?xml?>text</p>", "text"),
        ("Sale!&zwnj;&nbsp;&zwnj;&#847;&nbsp;&shy; Now", "Sale! Now"),
        ("&#xD800;x", "\ufffdx"),
        ("<style>" + "a { b: c }\n" * 2000 + "</style>text", "text"),
    ],
)
def test_html(text: str, shown: str) -> None:
    assert marked(text) == shown


def parts(*bodies: bytes, kind: bytes = b"mixed") -> bytes:
    inside = b"".join(b"--b\r\n" + body + b"\r\n" for body in bodies)
    return b"Content-Type: multipart/" + kind + b"; boundary=b\r\n\r\n" + inside + b"--b--\r\n"


PLAIN = b"Content-Type: text/plain\r\n\r\nplain"
HTML = b"Content-Type: text/html\r\n\r\n<i>marked</i>"
BLANK = b"Content-Type: text/plain\r\n\r\n  \r\n"
ATTACHED = b"Content-Type: text/plain\r\nContent-Disposition: Attachment\r\n\r\nattached"
PICTURE = b"Content-Type: image/png\r\n\r\nxxxx"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (parts(HTML, PLAIN, kind=b"alternative"), "plain"),
        (parts(HTML, BLANK, kind=b"alternative"), "marked"),
        (parts(HTML, PLAIN), "marked"),
        (parts(ATTACHED, PICTURE, PLAIN), "plain"),
        (parts(ATTACHED, PICTURE), ""),
        (parts(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nforwarded"), "forwarded"),
        (parts(b"Content-Type: application/pgp-encrypted\r\n\r\nx", PICTURE, kind=b"encrypted"), ""),
        (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nf\xfcr", "für"),
        (b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-x", "?x"),
        (b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\naGVsbG8=", "hello"),
        (b"\r\n", ""),
        (b"", ""),
    ],
)
def test_which_part(octets: bytes, shown: str) -> None:
    assert said(octets) == shown


def test_what_others_sent() -> None:
    """RFC 8970 3.2: UTF-8, at most 256 characters, one line."""
    for octets in (*corpus()[::10], *(octets for _, octets in vectors())):
        text = said(octets)
        assert len(text) <= MAX_PREVIEW
        assert text == " ".join(text.encode().decode().split())


@given(st.text())
def test_any_text(text: str) -> None:
    octets = text.encode("utf-8", "replace").decode()
    for shown in (plain(octets), marked(octets)):
        assert len(shown) <= MAX_PREVIEW
        shown.encode()


@pytest.mark.parametrize(
    "hostile", ["<", "<!--", "<a", "<style>", "</", "> ", ">\n", "&", "-- \n", " ", "a:\n>\n", "&#"]
)
def test_hostile_text(hostile: str) -> None:
    for shown in (plain(hostile * 16_000), marked(hostile * 64_000)):
        assert len(shown) <= MAX_PREVIEW
