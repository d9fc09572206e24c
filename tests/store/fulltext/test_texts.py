"""What is kept of one message is what a search looks at."""

import pytest

from mailplat.store.fulltext import texts
from mailplat.wire.imap import search as keys
from mailplat.wire.mime import scan
from mailplat.wire.mime.rendering import render
from mailplat.wire.mime.text import MAX_OCTETS, searchable_text
from tests.store.conftest import letter
from tests.store.fulltext.conftest import HOSTILE


@pytest.mark.parametrize("octets", HOSTILE)
def test_pieces(octets: bytes) -> None:
    root = scan(octets)
    header, *body = [texts.octets_of(piece) for piece in searchable_text(octets, root, headers=True)]
    assert texts.content(octets) == [header, texts.SEPARATOR.join(body)]
    assert body == [texts.octets_of(piece) for piece in searchable_text(octets, root, headers=False)]


def test_headings_of_long_fields_are_the_message_s() -> None:
    octets = letter("x" * 1200 + "END", extra="Subject: another\r\n")
    made = render(octets)
    kept = [made.subject, made.from_, made.to, made.cc, made.bcc]
    found = texts.headings(kept, lambda: octets)
    assert found is not None
    assert b"xend" in found[0]
    assert b"another" in found[0]
    assert found[1:] == [b"ann <ann@example.test>", b"bob@example.test", b"", b""]
    assert texts.headings(kept, lambda: None) is None  # expunged
    assert texts.headings(["", "", "", "", ""], lambda: pytest.fail("no field is long")) == [b""] * 5


def test_too_much_is_not_kept() -> None:
    assert texts.content(letter(text="x" * texts.MOST)) is None
    assert texts.content(letter(text="x" * (texts.MOST - 1000))) is not None


def test_a_message_of_which_a_search_sees_a_part() -> None:
    """Soft line breaks decode to nothing: little text, though BODY sees a piece more of it than TEXT."""
    head = "Content-Transfer-Encoding: quoted-printable\r\n"
    fill = "=\r\n" * (MAX_OCTETS // 3 - 10)
    octets = letter(text=fill + "seen by BODY only and so on", extra=head)
    seen = {
        headers: [
            piece for piece in searchable_text(octets, scan(octets), headers=headers) if "seen" in piece
        ]
        for headers in (True, False)
    }
    assert (len(seen[False]), len(seen[True])) == (1, 0), "the limit lies elsewhere: this tests nothing"
    assert texts.content(octets) is None
    within = letter(text=fill[:-3000] + "seen", extra=head)
    assert len(within) < MAX_OCTETS
    assert texts.content(within) is not None


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        (keys.Header(" SubJect ", "Ä"), (texts.HEADINGS, (texts.SUBJECT,), "ä".encode())),
        (keys.Header("Bcc", "x"), (texts.HEADINGS, (texts.BCC,), b"x")),
        (keys.Text("\ud800"), (texts.CONTENT, (texts.HEADER, texts.BODY), b"\xed\xa0\x80")),
        (keys.Body("x"), (texts.CONTENT, (texts.BODY,), b"x")),
        (keys.Body(""), None),
        (keys.Text(""), None),
        (keys.Header("Subject", ""), None),
        (keys.Header("X-Own", "x"), None),
        (keys.Flag("\\Seen", True), None),
    ],
)
def test_what_a_key_asks(key: keys.Key, kinds: object) -> None:
    assert texts.kinds_of(key) == kinds
