"""Mailbox names there and here: decoded once, mapped back through a table (never by calculation).

A source has its own separator and may have a prefix; we have "/" between levels and Unicode within. A name that
cannot be decoded keeps its octets as characters, which is how clients show it. Two names of the source that
become one here are a collision: the move halts before anything is copied.
"""

from collections.abc import Iterable, Iterator

from mailplat.core.errors import InvalidInput
from mailplat.wire.imap import mutf7
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.spelling import SEPARATORS, check_prefix
from migration.errors import Halt
from migration.sources.contract import Naming

# What stands here for a "/" inside a level of a source whose separator is another.
SLASH_STANDS_AS = "\u2215"  # DIVISION SLASH: looks the same and separates nothing


def decode_name(wire: bytes, separator: bytes) -> str:
    """Our name of a mailbox that the source calls `wire`."""
    try:
        text = mutf7.decode(wire)
    except BadSyntax:
        text = wire.decode("utf-8", "backslashreplace")  # servers with UTF-8 names, or with broken ones
    mark = separator.decode("ascii", "replace")
    if mark and mark != "/":
        levels = [level.replace("/", SLASH_STANDS_AS) for level in text.split(mark)]
    else:
        levels = text.split("/") if mark else [text.replace("/", SLASH_STANDS_AS)]
    if levels[0].upper() == "INBOX":  # RFC 3501 5.1: INBOX has no case
        levels[0] = "INBOX"
    return "/".join(levels)


def encode_name(name: str, separator: bytes) -> bytes:
    """How the source would spell a mailbox that was made here. Raises Halt for a name that cannot be there."""
    mark = separator.decode("ascii", "replace")
    levels = name.split("/")
    if mark != "/":
        levels = [level.replace(SLASH_STANDS_AS, "/") for level in levels]
    if (not mark and len(levels) > 1) or (mark not in ("", "/") and any(mark in level for level in levels)):
        raise Halt(
            f"the backend cannot have a mailbox {name!r}: {mark or 'nothing'!r} separates levels there. Rename it"
        )
    return mutf7.encode(mark.join(levels))


def naming(prefix: bytes, separator: bytes) -> Naming:
    """What clients of the source are used to, as far as ours can spell it: any other separator than "/" and "."
    becomes "/", and then, as for a prefix that is no ASCII, names begin anywhere."""
    mark = separator.decode("ascii", "replace")
    if mark not in SEPARATORS:
        return Naming("/", "")
    try:
        return Naming(mark, check_prefix(prefix.decode("ascii", "replace"), mark))
    except InvalidInput:
        return Naming(mark, "")


def collisions(pairs: Iterable[tuple[bytes, str]]) -> Iterator[tuple[bytes, bytes, str]]:
    """Mailboxes of the source, (its name, our name) each, that would become one here."""
    seen: dict[str, bytes] = {}
    for wire, name in pairs:
        other = seen.setdefault(name, wire)
        if other != wire:
            yield other, wire, name


def check_collisions(pairs: Iterable[tuple[bytes, str]]) -> None:
    """Raises Halt naming the mailboxes that would become one."""
    for other, wire, name in collisions(pairs):
        raise Halt(
            f"mailboxes {other!r} and {wire!r} of the source would both be {name!r} here; rename one there"
        )
