"""Names of mailboxes: Unicode, levels separated by "/", never part of a path on disk."""

import unicodedata

from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.store.types import StoreLimits

SEPARATOR = "/"
INBOX = "INBOX"

# Cc controls, Cs lone surrogates, Zl and Zp line and paragraph separators: they cannot be shown in one line.
_FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def check_name(name: str, limits: StoreLimits) -> str:
    """The name as it is kept: INBOX as first level in upper case (RFC 3501 5.1), one trailing separator dropped
    (RFC 3501 6.3.3: "will create names under this name"). Raises InvalidInput, or LimitReached for a name that
    is too long or too deep."""
    name = name.removesuffix(SEPARATOR)
    if len(name) > limits.name:
        raise LimitReached(f"a mailbox name of {len(name)} characters; the limit is {limits.name}")
    levels = name.split(SEPARATOR)
    if len(levels) > limits.depth:
        raise LimitReached(f"a mailbox name of {len(levels)} levels; the limit is {limits.depth}")
    for level in levels:
        if level in ("", ".", ".."):
            raise InvalidInput(f"mailbox name {name[:80]!r} has the level {level!r}")
        if len(level) > limits.level:
            raise LimitReached(f"a level of {len(level)} characters; the limit is {limits.level}")
    if any(unicodedata.category(char) in _FORBIDDEN for char in name):
        raise InvalidInput(f"mailbox name {name[:80]!r} has a control character")
    return canonical(name)


def canonical(name: str) -> str:
    """INBOX in upper case where it is the first level; for looking up, where a bad name is just not found."""
    first, separator, rest = name.partition(SEPARATOR)
    return INBOX + separator + rest if first.upper() == INBOX else name


def parents(name: str) -> list[str]:
    """The names above, the topmost first."""
    levels = name.split(SEPARATOR)
    return [SEPARATOR.join(levels[:count]) for count in range(1, len(levels))]


def below(name: str) -> tuple[str, str]:
    """All names under `name` sort at or behind the first and before the second of these."""
    return name + SEPARATOR, name + chr(ord(SEPARATOR) + 1)
