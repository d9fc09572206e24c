"""The arguments of ESEARCH, which searches several mailboxes (RFC 7377)."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.esearch import Returns
from mailplat.wire.imap.search import And, Key, Not, Numbers, Or, UidSet

Filter = Literal["SELECTED", "INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "SUBTREE-ONE", "MAILBOXES"]
_NAMED = ("SUBTREE", "SUBTREE-ONE", "MAILBOXES")


@dataclass(frozen=True, slots=True)
class Source:
    """A way to choose mailboxes; `names` for SUBTREE, SUBTREE-ONE and MAILBOXES."""

    filter: Filter
    names: tuple[str, ...] = ()


SELECTED = (Source("SELECTED"),)


def parse_sources(arguments: Arguments) -> tuple[Source, ...]:
    """IN (...) and the space behind it; where there is none the selected mailbox (RFC 7377 2.2). Raises BadSyntax,
    also for scope options: none is defined."""
    if arguments.octets[arguments.at : arguments.at + 4].upper() != b"IN (":
        return SELECTED
    arguments.at += 3

    def source() -> Source:
        word = cast(Filter, arguments.keyword(*get_args(Filter)))
        if word not in _NAMED:
            return Source(word)
        arguments.space()
        if arguments.peek(b"("):
            most = arguments.bounds.search_names
            return Source(word, tuple(arguments.items(arguments.mailbox, limit=most, empty=False)))
        return Source(word, (arguments.mailbox(),))

    sources = tuple(arguments.items(source, limit=arguments.bounds.search_sources, empty=False))
    arguments.space()
    return sources


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
