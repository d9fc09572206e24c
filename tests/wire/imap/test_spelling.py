"""Mailbox names as an account's clients spell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.response import list_line
from mailplat.wire.imap.spelling import SEPARATORS, Spelling, check_prefix

names = st.text(st.sampled_from("ab./\u2215\u2024%*&é "), max_size=12)


@given(names, st.sampled_from(SEPARATORS))
def test_every_name_can_be_read_back(name: str, separator: str) -> None:
    spelling = Spelling(separator=separator)
    assert spelling.read(spelling.written(name)) == name
    assert spelling.written(spelling.read(name)) == name


@given(names.filter(lambda name: name.partition("/")[0].upper() != "INBOX"), st.booleans())
def test_over_the_wire_and_back(name: str, utf8: bool) -> None:
    spelling = Spelling(utf8, ".")
    line = list_line(name, (), spelling=spelling)
    assert line.startswith(b'* LIST () "." ')
    assert Arguments(line, len(b'* LIST () "." '), spelling=spelling).mailbox() == name


def test_the_levels_of_a_name_and_what_looks_like_a_separator() -> None:
    dotted = Spelling(separator=".")
    assert dotted.read("inbox.Sent") == "inbox/Sent"
    assert Arguments(b"inbox.Sent", spelling=dotted).mailbox() == "INBOX/Sent"
    assert Arguments(b"INBOX.%", spelling=dotted).pattern() == "INBOX/%"
    assert dotted.written("Work/v1.2") == "Work.v1\u20242"
    assert dotted.read("and/or") == "and\u2215or"


def test_a_prefix_ends_with_the_separator_and_is_ascii() -> None:
    assert check_prefix("INBOX.", ".") == "INBOX/"
    assert check_prefix("mail/", "/") == "mail/"
    assert check_prefix("", ".") == ""
    for wrong in ("INBOX", "INBOX/", "Büro.", 'a".', "a&.", "%.", "x" * 64 + "."):
        with pytest.raises(InvalidInput, match="no prefix of mailbox names"):
            check_prefix(wrong, ".")
