import pytest

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadCharset, BadSyntax
from mailplat.wire.imap.search import All, Flag, Header, Query
from mailplat.wire.imap.sorting import CRITERIA, Order, parse_sort, parse_thread, sort_line


def test_sort() -> None:
    program = parse_sort(Arguments(b'(subject REVERSE date) utf-8 SUBJECT "gr\xc3\xbcn"'))
    assert program.orders == (Order("SUBJECT", False), Order("DATE", True))
    assert program.query == Query(Header("Subject", "grün"))
    every = parse_sort(Arguments(b'(%b) "US-ASCII" ALL' % " ".join(CRITERIA).encode()))
    assert [order.criterion for order in every.orders] == list(CRITERIA)


def test_thread() -> None:
    assert parse_thread(Arguments(b" references UTF-8 UNSEEN")) == (
        "REFERENCES",
        Query(Flag("\\Seen", False)),
    )
    assert parse_thread(Arguments(b" ORDEREDSUBJECT US-ASCII ALL")) == ("ORDEREDSUBJECT", Query(All()))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"DATE UTF-8 ALL", b"() UTF-8 ALL", b"(DATE) ALL", b"(DATE)UTF-8 ALL", b"(REVERSE) UTF-8 ALL",
        b"(REVERSE REVERSE DATE) UTF-8 ALL", b"(BCC) UTF-8 ALL", b"(DATE,SIZE) UTF-8 ALL", b"(DATE) UTF-8",
        b"(DATE) US-ASCII SUBJECT \xc3\xbc", b"(%b) UTF-8 ALL" % b" ".join([b"DATE"] * (BOUNDS.sort_criteria + 1)),
    ],
)  # fmt: skip
def test_what_is_no_sort(text: bytes) -> None:
    with pytest.raises((BadSyntax, BadCharset)):
        parse_sort(Arguments(text))


def test_limit_of_criteria() -> None:
    assert (
        len(parse_sort(Arguments(b"(%b) UTF-8 ALL" % b" ".join([b"DATE"] * BOUNDS.sort_criteria))).orders)
        == BOUNDS.sort_criteria
    )


@pytest.mark.parametrize("text", [b"", b" ", b" REFS UTF-8 ALL", b" REFERENCES ALL", b" REFERENCES UTF-8"])
def test_what_is_no_thread(text: bytes) -> None:
    with pytest.raises((BadSyntax, BadCharset)):
        parse_thread(Arguments(text))


def test_charsets() -> None:
    for parse, text in ((parse_sort, b"(DATE) KOI8-R ALL"), (parse_thread, b" REFERENCES KOI8-R ALL")):
        with pytest.raises(BadCharset):
            parse(Arguments(text))


def test_sort_lines() -> None:
    assert sort_line([2, 84, 882]) == b"* SORT 2 84 882\r\n"
    assert sort_line([]) == sort_line([], modseq=5) == b"* SORT\r\n"
    assert sort_line([2, 3], modseq=5) == b"* SORT 2 3 (MODSEQ 5)\r\n"
