"""Addresses and lists of them, as maps of mail servers write them."""

import re
from collections.abc import Iterator, Sequence

from mailplat.core.address import Address
from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from mailplat.directory.resolution import MAX_TARGETS
from mailplat.wire.smtp.address import parse_address
from migration.directory.entries import AliasEntry, DomainAliasEntry, Entry, Remark

_SEPARATORS = re.compile(r"[\s,]*")
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s,"])+', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

# Items of a list that are no addresses (aliases(5)): what they do stays behind.
_DELIVERIES = (
    ("|", "runs a program; nothing here does. A Sieve script may do what it is for"),
    ("/", "writes to a file; nothing here does. Make it an account, and read that"),
    (":include:", "reads a list from a file; write its addresses into the alias"),
)


def split(text: str) -> list[str]:
    """The items of a list, by commas and white space outside quotes. Raises InvalidInput."""
    found: list[str] = []
    at = 0
    while (at := _end(_SEPARATORS, text, at)) < len(text):
        item = _ITEM.match(text, at)
        if item is None:
            raise InvalidInput("a quote is not closed")
        found.append(item[0])
        at = item.end()
    return found


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def address(text: str, origin: str = "") -> Address:
    """With `origin` where it has no domain. Raises InvalidInput."""
    text = text.removeprefix("<").removesuffix(">") if text.startswith("<") and text.endswith(">") else text
    if "@" not in text or (text.startswith('"') and text.endswith('"')):
        if not origin:
            raise InvalidInput(f"{text[:80]!r} has no domain, and the source names none for such")
        text = f"{text}@{origin}"
    return parse_address(text)


def aliases(source: str, items: Sequence[str], place: str, origin: str = "") -> Iterator[Entry]:
    """What a source and the list of its targets come to. Refused items are left out, each with a remark; the rest is
    taken."""
    own: Address | None = None
    try:
        if source.startswith("@"):
            key = f"@{domain_key(source[1:])}"
        else:
            own = address(source, origin)
            key = own.key
    except InvalidInput as error:
        yield Remark(place, f"alias {source[:80]!r}: {error}")
        return
    if len(items) > MAX_TARGETS:
        yield Remark(
            place,
            f"alias {key} has {len(items)} targets, at most {MAX_TARGETS} are taken: use a list manager",
        )
        return
    targets: dict[str, Address] = {}
    for item in items:
        try:
            if item.startswith("@"):
                there = domain_key(item[1:])
                if own is None:
                    yield DomainAliasEntry(key[1:], there, place)
                    continue
                target = Address(own.local, there)  # virtual(5): the local part stays
            else:
                target = _target(item, origin)
        except InvalidInput as error:
            yield Remark(place, f"alias {key}, target {item[:80]!r}: {error}")
            continue
        targets.setdefault(target.key, target)
    if targets:
        yield AliasEntry(key, tuple(targets.values()), place)


def _target(item: str, origin: str) -> Address:
    plain = unquoted(item)
    for sign, text in _DELIVERIES:
        if plain.startswith(sign):
            raise InvalidInput(text)
    return address(item.removeprefix("\\"), origin)  # aliases(5): a backslash only ends the expansion
