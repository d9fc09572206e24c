"""LIST and LSUB: arguments, and which names a pattern matches (RFC 3501 6.3.8; RFC 5258, 5819, 6154, 8440,
9590)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.metadata import parse_entries
from mailplat.wire.imap.storing import status_items

DELIMITER = "/"

SELECT_OPTIONS = ("SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE")
RETURN_OPTIONS = ("SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS", "METADATA", "MYRIGHTS")


@dataclass(frozen=True, slots=True)
class ListProgram:
    reference: str
    patterns: tuple[str, ...]
    selects: frozenset[str] = frozenset()  # of SELECT_OPTIONS
    returns: frozenset[str] = frozenset()  # of RETURN_OPTIONS
    status: tuple[str, ...] = ()  # items of RETURN (STATUS (...))
    extended: bool = False  # written in the form of RFC 5258
    entries: tuple[str, ...] = ()  # of RETURN (METADATA (...))

    @property
    def asks_delimiter(self) -> bool:
        """LIST "" "": what the hierarchy delimiter is (RFC 3501 6.3.8)."""
        return not self.extended and self.patterns == ("",)


def parse_list(arguments: Arguments) -> ListProgram:
    """Raises BadSyntax."""
    arguments.space()
    selects: frozenset[str] = frozenset()
    extended = arguments.peek(b"(")
    if extended:
        selects = frozenset(arguments.items(lambda: arguments.keyword(*SELECT_OPTIONS)))
        if "RECURSIVEMATCH" in selects and not selects & {"SUBSCRIBED", "SPECIAL-USE"}:
            raise BadSyntax("RECURSIVEMATCH needs another selection option")  # RFC 5258 3.1
        arguments.space()
    reference = arguments.mailbox()
    arguments.space()
    if arguments.peek(b"("):
        extended = True
        patterns = tuple(
            arguments.items(arguments.pattern, limit=arguments.bounds.list_patterns, empty=False)
        )
    else:
        patterns = (arguments.pattern(),)
    returns, status, entries = _returns(arguments)
    arguments.end()
    _check(patterns, arguments.bounds.pattern)
    return ListProgram(
        reference, patterns, selects, returns or frozenset(), status, extended or returns is not None, entries
    )


def parse_lsub(arguments: Arguments) -> ListProgram:
    """LSUB, as the LIST (SUBSCRIBED) that it almost is; the door knows the difference (RFC 3501 6.3.9)."""
    arguments.space()
    reference = arguments.mailbox()
    arguments.space()
    patterns = (arguments.pattern(),)
    arguments.end()
    _check(patterns, arguments.bounds.pattern)
    return ListProgram(reference, patterns, frozenset(("SUBSCRIBED",)))


def _returns(arguments: Arguments) -> tuple[frozenset[str] | None, tuple[str, ...], tuple[str, ...]]:
    """Options, items of STATUS, entries of METADATA."""
    if not arguments.take(b" ") or arguments.at_end:
        return None, (), ()
    arguments.keyword("RETURN")
    arguments.space()
    status: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()

    def option() -> str:
        nonlocal entries, status
        name = arguments.keyword(*RETURN_OPTIONS)
        if name == "STATUS":
            arguments.space()
            status = status_items(arguments)  # RFC 5819 2
        elif name == "METADATA":
            arguments.space()
            entries = parse_entries(arguments)  # RFC 9590 3
        return name

    return frozenset(arguments.items(option)), status, entries


def _check(patterns: Sequence[str], longest: int) -> None:
    if any(len(pattern) > longest for pattern in patterns):
        raise BadSyntax(f"a pattern of more than {longest} characters")


class Matcher:
    """Which names a reference and patterns match: "*" is any text, "%" any text without a delimiter.

    The time is that of one pass over the name, however many wildcards there are: all positions of the pattern
    that could have been reached are kept as the bits of one integer."""

    def __init__(self, reference: str, patterns: Sequence[str], delimiter: str = DELIMITER) -> None:
        full = [reference + pattern for pattern in patterns]
        self._tests = [_compile(_canonical(pattern, delimiter), delimiter) for pattern in full]
        # RFC 3501 6.3.8: INBOX is in the answer where its name matches in any case.
        self._inbox = any(_compile(pattern.upper(), delimiter)("INBOX") for pattern in full)

    def matches(self, name: str) -> bool:
        if name == "INBOX":
            return self._inbox
        return any(test(name) for test in self._tests)


def _canonical(pattern: str, delimiter: str) -> str:
    """INBOX as the first level is spelled in upper case, as Arguments.mailbox() has it."""
    first, slash, rest = pattern.partition(delimiter)
    return f"INBOX{slash}{rest}" if first.upper() == "INBOX" else pattern


def _compile(pattern: str, delimiter: str) -> Callable[[str], bool]:
    if pattern == "*":
        return lambda name: True
    if pattern == "%":
        return lambda name: delimiter not in name
    if "*" not in pattern and "%" not in pattern:
        return lambda name: name == pattern
    return _Wildcards(pattern, delimiter).matches


class _Wildcards:
    """Bit i stands for "the first i elements of the pattern have matched"."""

    def __init__(self, pattern: str, delimiter: str) -> None:
        elements = _collapse(pattern)
        self._delimiter = delimiter
        self._final = 1 << len(elements)
        self._any = 0  # positions at a "*"
        self._level = 0  # positions at a "%"
        self._plain: dict[str, int] = {}  # character -> positions at it
        for position, element in enumerate(elements):
            bit = 1 << position
            if element == "*":
                self._any |= bit
            elif element == "%":
                self._level |= bit
            else:
                self._plain[element] = self._plain.get(element, 0) | bit
        self._start = self._skip(1)

    def matches(self, name: str) -> bool:
        state = self._start
        for character in name:
            stay = self._any if character == self._delimiter else self._any | self._level
            state = self._skip(((state & self._plain.get(character, 0)) << 1) | (state & stay))
            if not state:
                return False
        return bool(state & self._final)

    def _skip(self, state: int) -> int:
        """A wildcard may match nothing. No two stand side by side, so one step is enough."""
        return state | ((state & (self._any | self._level)) << 1)


def _collapse(pattern: str) -> str:
    """The same pattern with every run of wildcards made one: "*" swallows "%"."""
    elements: list[str] = []
    for character in pattern:
        if elements and character in "*%" and elements[-1] in "*%":
            if character == "*":
                elements[-1] = "*"
            continue
        elements.append(character)
    return "".join(elements)
