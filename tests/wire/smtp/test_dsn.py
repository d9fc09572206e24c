"""Parameters of RFC 3461, and what of them goes into header fields."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp import dsn

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80)


@given(st.text(max_size=80), st.sampled_from(["rfc822;", "utf-8;", "UTF-8;", "x400;", ""]))
def test_what_is_taken_is_harmless_in_a_field(text: str, kind: str) -> None:
    with contextlib.suppress(InvalidInput):
        shown = dsn.shown(dsn.original_recipient(kind + text))
        assert shown.isprintable()
        assert len(shown.splitlines()) == 1


@given(st.sets(st.sampled_from(["SUCCESS", "FAILURE", "DELAY"]), min_size=1))
def test_notify(words: set[str]) -> None:
    said = ",".join(words)
    assert dsn.notify(said.lower()) == said


@given(PRINTABLE)
def test_any_text(text: str) -> None:
    for parse in (dsn.notify, dsn.returned, dsn.envelope_id, dsn.original_recipient):
        with contextlib.suppress(InvalidInput):
            parse(text)


def test_the_same_letters_come_out() -> None:
    assert dsn.original_recipient("RFC822;A+2Bb@Example.ORG") == "RFC822;A+2Bb@Example.ORG"
    assert dsn.envelope_id("QQ314+3D159") == "QQ314+3D159"
    assert dsn.shown("rfc822;A+2Bb@Example.ORG") == "rfc822; A+b@Example.ORG"
