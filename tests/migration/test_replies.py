"""What IMAP servers say, as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.spool import Body
from migration.errors import Misbehaviour
from migration.sources import replies
from migration.sources.contract import Listed, Status


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ([rb"* 5 FETCH (UID 7 FLAGS (\Seen $Foo))"], Listed(7, ("\\Seen", "$Foo"))),
        ([rb"* 5 FETCH (FLAGS () UID 7)"], Listed(7, ())),
        ([rb"* 5 FETCH (UID 7 FLAGS (\Recent) MODSEQ (99))"], Listed(7, (), 99)),
        ([rb"* 5 FETCH (UID 7 MODSEQ (99) FLAGS (\Seen))"], Listed(7, ("\\Seen",), 99)),
        (
            [rb'* 5 FETCH (UID 7 FLAGS () RFC822.SIZE 12 INTERNALDATE " 7-Feb-1994 21:52:25 -0800")'],
            Listed(7, (), None, 12, 760686745, -480),
        ),
        (
            [rb'* 5 fetch (internaldate "17-jul-1996 02:44:25 +0530" rfc822.size 1 uid 3 flags ())'],
            Listed(3, (), None, 1, 837551665, 330),
        ),
    ],
)
def test_fetch_in_any_order(response: list[bytes], expected: Listed) -> None:
    assert replies.parse_fetch(response) == (expected, None)


def test_a_keyword_called_uid_is_a_keyword() -> None:
    listed, _ = replies.parse_fetch([b"* 1 FETCH (FLAGS (UID 999 BODY[] {3}) UID 4)"])
    assert listed.uid == 4
    assert "UID" in listed.flags


@pytest.mark.parametrize(
    ("response", "octets"),
    [
        ([b"* 1 FETCH (UID 4 BODY[] {3}", b"a)b", b" FLAGS ())"], b"a)b"),
        ([b"* 1 FETCH (BODY[] {0}", b"", b" UID 4 FLAGS ())"], b""),
        ([rb'* 1 FETCH (UID 4 BODY[] "a \"quoted\" one" FLAGS ())'], b'a "quoted" one'),
        ([b"* 1 FETCH (UID 4 BODY[] NIL FLAGS ())"], None),
    ],
)
def test_bodies(response: list[bytes], octets: bytes | None) -> None:
    listed, body = replies.parse_fetch(response)
    assert (listed.uid, body) == (4, octets)


@pytest.mark.parametrize(
    "text",
    [
        b"* 1 FETCH (UID 4 ENVELOPE NIL)",
        b"* 1 FETCH (UID",
        b"* 1 FETCH (UID 4 BODY[] {3)",
        b'* 1 FETCH (UID 4 FLAGS () INTERNALDATE "yesterday")',
        b'* 1 FETCH (UID 4 FLAGS () INTERNALDATE "07-Foo-1994 21:52:25 +0000")',
    ],
)
def test_nonsense_is_refused(text: bytes) -> None:
    with pytest.raises(Misbehaviour):
        replies.parse_fetch([text])


HUGE = b"9" * 5000


@pytest.mark.parametrize(
    "text",
    [
        b"* 1 FETCH (UID 4294967296 FLAGS ())",
        b"* 1 FETCH (FLAGS () UID 4294967296)",
        b"* 1 FETCH (UID %b FLAGS ())" % HUGE,
        b"* 1 FETCH (UID 1 FLAGS () MODSEQ (9223372036854775808))",
        b'* 1 FETCH (UID 1 FLAGS () RFC822.SIZE %b INTERNALDATE " 1-Jan-2000 00:00:00 +0000")' % HUGE,
        b'* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1 INTERNALDATE " 1-Jan-0000 00:00:00 +0000")',
    ],
)
def test_numbers_that_nobody_can_have_are_a_misbehaviour(text: bytes) -> None:
    """Not a ValueError, which ends a census of all other accounts, nor one of a database or of struct later."""
    with pytest.raises(Misbehaviour):
        replies.parse_fetch([text])


@pytest.mark.parametrize(
    "items",
    [
        b"UIDVALIDITY -1 MESSAGES 3",
        b"UIDVALIDITY 1_0 MESSAGES 3",
        b"UIDVALIDITY 1 MESSAGES -3",
        b"UIDVALIDITY 4294967296 MESSAGES 3",
        b"UIDVALIDITY 1 MESSAGES 3 UIDNEXT %b" % HUGE,
        b"UIDVALIDITY 1 MESSAGES 3 HIGHESTMODSEQ 9223372036854775808",
    ],
)
def test_a_mailbox_with_numbers_that_nobody_can_have(items: bytes) -> None:
    with pytest.raises(Misbehaviour):
        replies.parse_status([b"* STATUS a (%b)" % items])
    words = items.split()
    codes = zip(words[::2], words[1::2], strict=True)
    said = [[b"* %b EXISTS" % words[3]], *([b"* OK [%b %b]" % pair] for pair in codes)]
    with pytest.raises(Misbehaviour):
        replies.parse_opening(said)


def test_list_with_quotes_literals_and_nil() -> None:
    attributes, separator, name = replies.parse_list([rb'* LIST (\HasNoChildren \Sent) "." "a \"b\""'])
    assert ("\\sent" in attributes, separator, name) == (True, b".", b'a "b"')
    assert replies.parse_list([b"* LIST () NIL {3}", b"x y", b""])[1:] == (b"", b"x y")
    assert replies.parse_list([b'* LIST () "/" {3}', Body.of(b"x y"), b""])[2] == b"x y"


def test_status_knows_what_is_not_known() -> None:
    assert replies.parse_status([b'* STATUS "a b" (MESSAGES 3 UIDNEXT 0 UIDVALIDITY 9 HIGHESTMODSEQ 0)']) == (
        b"a b",
        Status(9, None, 3, None),
    )
    with pytest.raises(Misbehaviour):
        replies.parse_status([b"* STATUS a (MESSAGES 3)"])


def test_opening() -> None:
    said = [
        [b"* 3 EXISTS"],
        [b"* OK [UIDVALIDITY 9] ok"],
        [b"* OK [HIGHESTMODSEQ 7]"],
        [b"* OK [UIDNEXT 5] x"],
    ]
    assert replies.parse_opening(said) == Status(9, 5, 3, 7)
    assert replies.parse_opening([*said, [b"* OK [NOMODSEQ] none"]]).modseq is None
    with pytest.raises(Misbehaviour):
        replies.parse_opening([[b"* OK [UIDVALIDITY 9]"]])


def test_lists_too_deep() -> None:
    with pytest.raises(Misbehaviour):
        replies.tokens([b"(" * 5000])


@given(st.sets(st.integers(1, 5000), min_size=1))
def test_uid_sets_name_exactly_these(uids: set[int]) -> None:
    found: set[int] = set()
    for part in replies.uid_set(sorted(uids, reverse=True)).split(b","):
        low, _, high = part.partition(b":")
        found |= set(range(int(low), int(high or low) + 1))
    assert found == uids


@given(st.binary(max_size=200))
def test_any_octets_are_a_value_or_a_misbehaviour(octets: bytes) -> None:
    for parse in (replies.parse_fetch, replies.parse_list, replies.parse_status):
        try:
            parse([b"* 1 FETCH (" + octets])
        except Misbehaviour:
            pass


@pytest.mark.parametrize("modseq", [b"", b" MODSEQ (12)"])
def test_the_short_way_says_what_the_whole_grammar_does(modseq: bytes) -> None:
    head = b"* 3 FETCH (UID 7 FLAGS (\\Seen \\Recent $X)" + modseq
    response = [head + b' INTERNALDATE " 1-Feb-2024 10:00:00 +0130" BODY[] {4}', b"abcd", b")"]
    short = replies.parse_fetch(response)
    assert short == replies._parse_items(response, response[0])
    assert short[0].internaldate == 1_706_776_200
    more = [*response[:2], b" RFC822.SIZE 4)"]
    assert replies.parse_fetch(more)[0].size == 4
