"""The arguments of GETMETADATA and SETMETADATA (RFC 5464 4)."""

import re
from dataclasses import dataclass

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax

# RFC 5464 4.1: no wildcards, no empty component, ASCII without control characters.
_NAME = re.compile(rb"/(?:private|shared)(?:/[^/*%\x00-\x1f\x7f-\xff]+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GetMetadata:
    mailbox: str  # "": the server
    entries: tuple[str, ...]  # in lower case
    max_size: int | None = None  # octets of a value
    depth: int | None = 0  # levels below an entry that are wanted too; None: all

    def wants(self, name: str) -> bool:
        """Whether an entry is among what is asked for."""
        return any(name == entry or self._below(name, entry) for entry in self.entries)

    def _below(self, name: str, entry: str) -> bool:
        if not name.startswith(f"{entry}/"):
            return False
        return self.depth is None or name.count("/") <= entry.count("/") + self.depth


def parse_get(arguments: Arguments) -> GetMetadata:
    """Raises BadSyntax, as parse_set does."""
    arguments.space()
    options: dict[str, int | None] = {}

    def option() -> None:
        name = arguments.keyword("MAXSIZE", "DEPTH")
        if name in options:
            raise BadSyntax(f"{name} twice")
        arguments.space()
        if name == "MAXSIZE":
            options[name] = arguments.number()
        else:
            depth = arguments.keyword("0", "1", "INFINITY")
            options[name] = None if depth == "INFINITY" else int(depth)

    if arguments.peek(b"("):
        arguments.items(option, empty=False)
        arguments.space()
    mailbox = arguments.mailbox()
    arguments.space()
    entries = parse_entries(arguments) if arguments.peek(b"(") else (_entry(arguments),)
    arguments.end()
    return GetMetadata(mailbox, entries, options.get("MAXSIZE"), options.get("DEPTH", 0))


def parse_entries(arguments: Arguments) -> tuple[str, ...]:
    """Names in parentheses, without duplicates."""
    most = arguments.bounds.entries
    return tuple(dict.fromkeys(arguments.items(lambda: _entry(arguments), limit=most, empty=False)))


def parse_set(arguments: Arguments) -> tuple[str, dict[str, bytes | None]]:
    """(mailbox, values by entry; None: remove it)."""
    arguments.space()
    mailbox = arguments.mailbox()
    arguments.space()
    values: dict[str, bytes | None] = {}

    def pair() -> None:
        name = _entry(arguments)
        if name.count("/") < 2:
            raise BadSyntax("an entry below /private or /shared expected")
        if name in values:
            raise BadSyntax("an entry twice")
        arguments.space()
        values[name] = arguments.binary()

    arguments.items(pair, limit=arguments.bounds.entries, empty=False)
    arguments.end()
    return mailbox, values


def _entry(arguments: Arguments) -> str:
    name = arguments.astring()
    longest = arguments.bounds.entry_name
    if len(name) > longest or not _NAME.fullmatch(name):
        raise BadSyntax(f"the name of an entry expected: /private/... or /shared/..., up to {longest} octets")
    return name.decode("ascii").lower()  # RFC 5464 4.1: names are not case-sensitive
