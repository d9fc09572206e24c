"""Domain names as mail authentication compares them: A-labels in lower case, without a final dot."""

import re

import idna

# RFC 1035 2.3.4.
MAX_NAME = 253

# Letters, digits, hyphen, and the underscore that real DNS names have.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)


def normalise(text: str) -> str | None:
    """None for what is no host name: empty labels, spaces, control characters, brackets, NUL."""
    name = text.lower().removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return None
    return name


def is_within(name: str, parent: str) -> bool:
    """The same name, or below it."""
    return name == parent or name.endswith(f".{parent}")
