"""Postfix's text tables as postmap(1) reads them: a key, white space, a value."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from migration.directory.entries import Remark
from migration.directory.lines import logical


@dataclass(frozen=True, slots=True)
class Pair:
    place: str
    key: str  # in lower case, as postmap folds it
    value: str


def pairs(path: Path) -> Iterator[Pair | Remark]:
    for line in logical(path):
        if isinstance(line, Remark):
            yield line
            continue
        end = _end(line.text)
        key, value = line.text[:end], line.text[end:].strip()
        if end > len(line.text):
            yield Remark(line.place, "a quote is not closed")
        elif key.startswith("/"):
            yield Remark(
                line.place,
                "is a pattern: which addresses it matches cannot be listed; write those that are meant",
            )
        elif not value:
            yield Remark(line.place, f"{key[:80]!r} has no value")
        else:
            yield Pair(line.place, key.lower(), value)


def _end(text: str) -> int:
    """Where the key ends: at the first white space outside quotes. Beyond the text: a quote is not closed."""
    quoted = escaped = False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char.isspace() and not quoted:
            return at
    return len(text) + 1 if quoted else len(text)
