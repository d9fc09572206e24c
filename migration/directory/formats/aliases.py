"""/etc/aliases (aliases(5)), as postalias(1) reads it: `name: target, target`. Names are those of option `domain`.

Programs, files and :include: are refused one by one; the other targets of such an alias are taken.
"""

from pathlib import Path

from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.directory.addresses import aliases, split, unquoted
from migration.directory.entries import Entries, Remark
from migration.directory.lines import logical
from migration.directory.options import MapOptions


class Options(MapOptions):
    domain: str  # what its names, and targets without a domain, are in


def read(options: Options, folder: Path) -> Entries:
    domain = domain_key(options.domain)
    for line in logical(options.path(folder)):
        if isinstance(line, Remark):
            yield line
            continue
        end = _colon(line.text)
        name, targets = line.text[:end].strip(), line.text[end + 1 :].strip()
        if not name or not targets:
            yield Remark(line.place, "is not NAME: TARGETS")
        elif "@" in unquoted(name) or "," in unquoted(name):
            yield Remark(line.place, f"{name[:80]!r} is not one local name, as aliases(5) asks for")
        else:
            try:
                items = split(targets)
            except InvalidInput as error:
                yield Remark(line.place, f"alias {name[:80]!r}: {error}")
                continue
            yield from aliases(name, items, line.place, domain)


def _colon(text: str) -> int:
    """The first outside quotes, or the text's end."""
    quoted = escaped = False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == ":" and not quoted:
            return at
    return len(text)
