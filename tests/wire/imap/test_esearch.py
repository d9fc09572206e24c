import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.esearch import Partial, Returns, esearch_line, parse_partial, parse_returns


def returns(text: bytes) -> Returns:
    found = parse_returns(Arguments(b"RETURN (%b) " % text))
    assert found is not None
    return found


def line(numbers: list[int], text: bytes, *, uid: bool = False, modseq: int | None = None) -> bytes:
    return esearch_line("a", numbers, returns(text), uid=uid, modseq=modseq)


def test_lines() -> None:
    assert line([2, 3, 9], b"ALL") == b'* ESEARCH (TAG "a") ALL 2:3,9\r\n'
    assert line([2, 3], b"COUNT MAX MIN", uid=True) == b'* ESEARCH (TAG "a") UID MIN 2 MAX 3 COUNT 2\r\n'
    assert line([], b"ALL MIN COUNT") == b'* ESEARCH (TAG "a") COUNT 0\r\n'
    assert line([2], b"ALL", modseq=7) == b'* ESEARCH (TAG "a") ALL 2 MODSEQ 7\r\n'


def test_sorted_numbers_keep_their_order() -> None:
    """RFC 5267 3.1, 3.2: the first and the last, and only ascending neighbours as ranges."""
    assert line([9, 2, 3], b"MIN MAX ALL") == b'* ESEARCH (TAG "a") MIN 9 MAX 3 ALL 9,2:3\r\n'


def test_line_of_one_mailbox_of_several() -> None:
    shown = esearch_line("a", [4, 5], returns(b"ALL"), uid=True, source=("Ablage/Müll", 7))
    assert shown == b'* ESEARCH (TAG "a" MAILBOX Ablage/M&APw-ll UIDVALIDITY 7) UID ALL 4:5\r\n'


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"1:2", b"10:11"),
        (b"2:1", b"10:11"),
        (b"4:9", b"20"),
        (b"5:9", b"NIL"),
        (b"-1:-1", b"20"),
        (b"-1:-3", b"11:12,20"),
        (b"-9:-4", b"10"),
        (b"-5:-9", b"NIL"),
    ],
)
def test_partial(said: bytes, shown: bytes) -> None:
    """RFC 9394 3.1: in the order of the mailbox, the range as it was said."""
    shown = b'* ESEARCH (TAG "a") PARTIAL (%b %b)\r\n' % (said, shown)
    assert line([10, 11, 12, 20], b"PARTIAL " + said) == shown


def test_partial_of_nothing() -> None:
    assert line([], b"PARTIAL 1:5 COUNT") == b'* ESEARCH (TAG "a") COUNT 0 PARTIAL (1:5 NIL)\r\n'


@given(st.lists(st.integers(), max_size=12), st.integers(1, 15), st.integers(1, 15), st.booleans())
def test_partial_as_a_list_would_say_it(found: list[int], first: int, last: int, from_end: bool) -> None:
    sign = b"-" if from_end else b""
    part = parse_partial(Arguments(b"%b%d:%b%d)" % (sign, first, sign, last)))
    low, high = sorted((first, last))
    places = [-place if from_end else place - 1 for place in range(low, high + 1)]
    inside = [found[place] for place in places if -len(found) <= place < len(found)]
    assert list(part.of(found)) == (inside[::-1] if from_end else inside)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"SAVE", [5, 6, 7, 8, 9]),
        (b"SAVE ALL", [5, 6, 7, 8, 9]),
        (b"SAVE COUNT", [5, 6, 7, 8, 9]),
        (b"SAVE MIN", [5]),
        (b"SAVE MAX", [9]),
        (b"SAVE MIN MAX", [5, 9]),
        (b"SAVE MIN MAX COUNT", [5, 6, 7, 8, 9]),
        (b"SAVE MIN ALL", [5, 6, 7, 8, 9]),
        (b"SAVE PARTIAL 2:3", [6, 7]),
        (b"SAVE PARTIAL 2:3 MAX", [6, 7, 9]),
        (b"SAVE PARTIAL 1:2 MIN MAX", [5, 6, 9]),
        (b"SAVE PARTIAL 2:3 COUNT", [5, 6, 7, 8, 9]),
    ],
)
def test_what_is_saved(text: bytes, kept: list[int]) -> None:
    """RFC 5182 2.4, RFC 9394 3.2."""
    assert list(returns(text).kept([5, 6, 7, 8, 9])) == kept
    assert list(returns(text).kept([])) == []


def test_save_alone_is_silent() -> None:
    assert returns(b"SAVE").silent
    assert not returns(b"SAVE ALL").silent
    assert not returns(b"").silent
    assert parse_returns(Arguments(b"ALL")) is None


@pytest.mark.parametrize(
    "text",
    [
        b"FOO", b"MIN,MAX", b"PARTIAL", b"PARTIAL 5", b"PARTIAL 0:5", b"PARTIAL 1:*", b"PARTIAL -1:5",
        b"PARTIAL 1:-5", b"PARTIAL 1:4294967296", b"PARTIAL 1:2 PARTIAL 3:4", b"ALL PARTIAL 1:2", b"PARTIAL 1:2x",
    ],
)  # fmt: skip
def test_what_is_no_option(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        returns(text)


def test_options() -> None:
    assert returns(b"") == Returns(frozenset({"ALL"}))
    assert parse_returns(Arguments(b"return (min COUNT) x")) == Returns(frozenset({"MIN", "COUNT"}))
    assert returns(b"PARTIAL 2:1 MIN") == Returns(frozenset({"PARTIAL", "MIN"}), Partial(b"2:1", 1, 2, False))
    for text in (b"RETURN (ALL)", b"RETURN (ALL", b"RETURN ("):
        with pytest.raises(BadSyntax):
            parse_returns(Arguments(text))


def test_partial_type() -> None:
    assert parse_partial(Arguments(b"500:400 ")) == Partial(b"500:400", 400, 500, False)
