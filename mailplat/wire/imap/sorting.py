"""The arguments of SORT and THREAD, and their replies (RFC 5256; SORT=DISPLAY RFC 5957; ESORT RFC 5267)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.search import Query, parse_charset, parse_keys

Criterion = Literal["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)

Algorithm = Literal["ORDEREDSUBJECT", "REFERENCES"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


@dataclass(frozen=True, slots=True)
class Order:
    criterion: Criterion
    reverse: bool


@dataclass(frozen=True, slots=True)
class SortProgram:
    orders: tuple[Order, ...]  # the first counts most
    query: Query


def parse_sort(arguments: Arguments) -> SortProgram:
    """What comes behind RETURN (...) and its space. Raises BadSyntax or BadCharset."""

    def order() -> Order:
        word = arguments.keyword(*CRITERIA, "REVERSE")
        if word != "REVERSE":
            return Order(cast(Criterion, word), False)
        arguments.space()
        return Order(cast(Criterion, arguments.keyword(*CRITERIA)), True)

    orders = arguments.items(order, limit=arguments.bounds.sort_criteria, empty=False)
    arguments.space()
    charset = parse_charset(arguments)
    return SortProgram(tuple(orders), parse_keys(arguments, charset))


def parse_thread(arguments: Arguments) -> tuple[Algorithm, Query]:
    """The arguments of THREAD and UID THREAD. Raises BadSyntax or BadCharset."""
    arguments.space()
    algorithm = cast(Algorithm, arguments.keyword(*ALGORITHMS))
    arguments.space()
    charset = parse_charset(arguments)
    return algorithm, parse_keys(arguments, charset)


def sort_line(numbers: Iterable[int], modseq: int | None = None) -> bytes:
    """SORT; `modseq` as of SEARCH (RFC 7162 3.1.6)."""
    found = b"".join([b" %d" % number for number in numbers])
    return b"* SORT%b%b\r\n" % (found, b" (MODSEQ %d)" % modseq if modseq is not None and found else b"")
