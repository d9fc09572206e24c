"""The arguments of ESEARCH, which searches several mailboxes (RFC 7377). Ways to choose mailboxes, which NOTIFY
(RFC 5465 6) has too."""

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.esearch import Returns
from mailplat.wire.imap.listing import DELIMITER
from mailplat.wire.imap.search import And, Key, Not, Numbers, Or, UidSet

Filter = Literal[
    "SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "SUBTREE-ONE", "MAILBOXES"
]
_SOURCES = tuple(word for word in get_args(Filter) if word != "SELECTED-DELAYED")  # which is NOTIFY's alone
_NAMED = ("SUBTREE", "SUBTREE-ONE", "MAILBOXES")


@dataclass(frozen=True, slots=True)
class Source:
    """A way to choose mailboxes; `names` for SUBTREE, SUBTREE-ONE and MAILBOXES."""

    filter: Filter
    names: tuple[str, ...] = ()
    _set: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", frozenset(self.names))

    def covers(self, name: str, subscribed: bool) -> bool:
        """Whether a mailbox of that name is among them. SELECTED speaks of no name."""
        match self.filter:
            case "PERSONAL":
                return True  # there is no other namespace
            case "INBOXES":
                return name == "INBOX"  # where mail is delivered (RFC 5465 6.3)
            case "SUBSCRIBED":
                return subscribed
            case "MAILBOXES":
                return name in self._set
            case "SUBTREE":
                levels = name.split(DELIMITER)
                return any(DELIMITER.join(levels[:depth]) in self._set for depth in range(1, len(levels) + 1))
            case "SUBTREE-ONE":
                return name in self._set or name.rpartition(DELIMITER)[0] in self._set
            case _:
                return False


SELECTED = (Source("SELECTED"),)


def parse_sources(arguments: Arguments) -> tuple[Source, ...]:
    """IN (...) and the space behind it; where there is none the selected mailbox (RFC 7377 2.2). Raises BadSyntax,
    also for scope options: none is defined."""
    if arguments.octets[arguments.at : arguments.at + 4].upper() != b"IN (":
        return SELECTED
    arguments.at += 3

    most = arguments.bounds.search_sources
    sources = tuple(arguments.items(lambda: parse_source(arguments, *_SOURCES), limit=most, empty=False))
    arguments.space()
    return sources


def parse_source(arguments: Arguments, *allowed: str) -> Source:
    """One of these ways, with the names that it needs. Raises BadSyntax."""
    word = cast(Filter, arguments.keyword(*allowed))
    if word not in _NAMED:
        return Source(word)
    arguments.space()
    if arguments.peek(b"("):
        most = arguments.bounds.search_names
        return Source(word, tuple(arguments.items(arguments.mailbox, limit=most, empty=False)))
    return Source(word, (arguments.mailbox(),))


def check(sources: tuple[Source, ...], returns: Returns, key: Key) -> None:
    """RFC 7377 2.1, 2.2: what speaks of the selected mailbox alone, sequence numbers and "$", read or saved, is for a
    search of it alone. Raises BadSyntax."""
    if set(sources) == set(SELECTED):
        return
    if returns.saves:
        raise BadSyntax("SAVE is for the selected mailbox alone")
    if _selected_only(key):
        raise BadSyntax("sequence numbers and $ are of the selected mailbox alone; search for UIDs")


def _selected_only(key: Key) -> bool:
    match key:
        case And(keys) | Or(keys):
            return any(map(_selected_only, keys))
        case Not(inner):
            return _selected_only(inner)
        case UidSet(numbers):
            return numbers.saved
        case _:
            return isinstance(key, Numbers)
