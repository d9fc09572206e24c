"""Mailbox names there and here: decoded once, mapped back through a table (never by calculation).

A source has its own separator and may have a prefix; we have "/" between levels and Unicode within. A name that
cannot be decoded keeps its octets as characters, which is how clients show it. Two names of the source that
become one here are a collision: the move halts before anything is copied.
"""

from collections.abc import Iterable

from mailplat.wire.imap import mutf7
from mailplat.wire.imap.errors import BadSyntax
from migration.errors import Halt

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


def check_collisions(pairs: Iterable[tuple[bytes, str]]) -> None:
    """Raises Halt naming the mailboxes that would become one."""
    seen: dict[str, bytes] = {}
    for wire, name in pairs:
        other = seen.setdefault(name, wire)
        if other != wire:
            raise Halt(
                f"mailboxes {other!r} and {wire!r} of the source would both be {name!r} here; rename one there"
            )
