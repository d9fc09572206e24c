from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadCharset, BadSyntax
from mailplat.wire.imap.search import (
    All,
    And,
    Body,
    Dated,
    Flag,
    Header,
    Key,
    ModSeq,
    Not,
    Numbers,
    Or,
    Query,
    Recent,
    Saved,
    Size,
    Text,
    Uids,
    UidSet,
    Within,
    bind,
    parse_query,
)
from mailplat.wire.imap.sequence import SequenceSet

DAY = date(2026, 2, 1).toordinal()


def search(text: bytes) -> Query:
    return parse_query(Arguments(text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", All()),
        (b"answered", Flag("\\Answered", True)),
        (b"UNDRAFT", Flag("\\Draft", False)),
        (b"RECENT", Recent()),
        (b"OLD", Not(Recent())),
        (b"NEW", And((Recent(), Flag("\\Seen", False)))),
        (b"KEYWORD $Junk", Flag("$Junk", True)),
        (b"UNKEYWORD x", Flag("x", False)),
        (b'FROM "Smith"', Header("From", "Smith")),
        (b"bcc x", Header("Bcc", "x")),
        (b'HEADER Message-ID ""', Header("Message-ID", "")),
        (b"HEADER {3}\r\nX-Y {2+}\r\nab", Header("X-Y", "ab")),
        (b"BODY x", Body("x")),
        (b"TEXT {3}\r\na\r\n", Text("a\r\n")),
        (b'SUBJECT "gr\xc3\xbcn"', Header("Subject", "grün")),
        (b"BEFORE 1-Feb-2026", Dated(False, "before", DAY)),
        (b'SENTSINCE "1-Feb-2026"', Dated(True, "since", DAY)),
        (b"ON 1-Feb-2026", Dated(False, "on", DAY)),
        (b"SAVEDBEFORE 1-Feb-2026", Saved("before", DAY)),
        (b"SAVEDON 1-Feb-2026", Saved("on", DAY)),
        (b"SAVEDSINCE 1-Feb-2026", Saved("since", DAY)),
        (b"SAVEDATESUPPORTED", All()),
        (b"YOUNGER 60", Within(False, 60)),
        (b"OLDER 4294967295", Within(True, 0xFFFF_FFFF)),
        (b"LARGER 100", Size(True, 100)),
        (b"SMALLER 0", Size(False, 0)),
        (b"1,3:*", Numbers(SequenceSet(((1, 1), (3, 0))))),
        (b"*", Numbers(SequenceSet(((0, 0),)))),
        (b"$", Numbers(SequenceSet((), saved=True))),
        (b"UID 5:7", UidSet(SequenceSet(((5, 7),)))),
        (b"NOT SEEN", Not(Flag("\\Seen", True))),
        (b"OR SEEN NOT ALL", Or((Flag("\\Seen", True), Not(All())))),
        (b"(SEEN)", Flag("\\Seen", True)),
        (b"SEEN (ALL 1)", And((Flag("\\Seen", True), And((All(), Numbers(SequenceSet(((1, 1),)))))))),
    ],
)
def test_keys(text: bytes, key: Key) -> None:
    assert search(text) == Query(key)


def test_mod_sequences() -> None:
    assert search(b"MODSEQ 5") == Query(ModSeq(5), modseq=True)
    assert search(b'MODSEQ "/flags/\\\\draft" all 5') == Query(ModSeq(5), modseq=True)


def test_charsets() -> None:
    assert search(b'CHARSET UTF-8 SUBJECT "gr\xc3\xbcn"').key == Header("Subject", "grün")
    assert search(b'charset "us-ascii" SUBJECT x').key == Header("Subject", "x")
    with pytest.raises(BadCharset):
        search(b"CHARSET KOI8-R ALL")
    for text in (b'CHARSET US-ASCII SUBJECT "gr\xc3\xbcn"', b'SUBJECT "\xff"'):
        with pytest.raises(BadSyntax):
            search(text)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"FOO", b"SEEN  ALL", b"()", b"(SEEN", b"SEEN)", b"NOT", b"OR SEEN", b"FROM", b"HEADER x",
        b"KEYWORD \\Seen",
        b"ON 30-Feb-2026", b"LARGER x", b"UID", b"UID x", b"1:x", b"RETURN (ALL) ALL",
        b"OLDER 0", b"YOUNGER x", b"OLDER 4294967296", b"SAVEDON 1", b"SAVEDATESUPPORTED 1-Feb-2026x", b"1,$", b"$,1",
        b"CHARSET UTF-8", b"MODSEQ x", b'MODSEQ "x" foo 1', b"SEEN ALL,", b"\xff",
        b"FROM " + b"x" * (BOUNDS.search_text + 1),
    ],
)  # fmt: skip
def test_what_is_no_search(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        search(text)


@pytest.mark.parametrize("opening", [b"(", b"NOT ", b"OR ALL "])
def test_nesting_is_bounded(opening: bytes) -> None:
    closing = b")" if opening == b"(" else b""
    assert search(opening * (BOUNDS.search_nesting - 1) + b"ALL" + closing * (BOUNDS.search_nesting - 1))
    with pytest.raises(BadSyntax):
        search(opening * 20_000 + b"ALL" + closing * 20_000)


def test_number_of_keys_is_bounded() -> None:
    assert search(b" ".join([b"ALL"] * BOUNDS.search_keys))
    with pytest.raises(BadSyntax):
        search(b" ".join([b"ALL"] * (BOUNDS.search_keys + 1)))


def bound(text: bytes, uids: list[int], saved: tuple[int, ...] = ()) -> Key:
    return bind(search(text).key, uids, saved)


def test_binding_to_a_view() -> None:
    uids = [3, 5, 9, 12]
    assert bound(b"2:3", uids) == Uids(((5, 9),))
    assert bound(b"UID 4:100", uids) == Uids(((4, 12),))
    assert bound(b"UID 100:200", uids) == Uids(())
    assert bound(b"UID 100:*", uids) == Uids(((12, 12),))
    assert bound(b"UID 1:*", []) == Uids(())
    assert bound(b"$", uids, (5, 6, 9)) == Uids(((5, 6), (9, 9)))
    assert bound(b"NOT (OR 1 UID $ SEEN)", uids) == Not(
        And((Or((Uids(((3, 3),)), Uids(()))), Flag("\\Seen", True)))
    )
    with pytest.raises(BadSyntax):
        bound(b"5", uids)


PIECES = st.sampled_from(
    [
        b"NOT",
        b"OR",
        b"(",
        b")",
        b" ",
        b"ALL",
        b"1:3",
        b"FROM",
        b'"x"',
        b"UID",
        b"$",
        b"{1+}\r\nx",
        b"CHARSET UTF-8",
        b"\xff",
        b"MODSEQ",
    ]
)


@given(st.lists(PIECES, max_size=30))
def test_only_bad_syntax_is_raised(pieces: list[bytes]) -> None:
    try:
        program = search(b"".join(pieces))
        bind(program.key, [1, 2, 3])
    except (BadSyntax, BadCharset):
        pass
