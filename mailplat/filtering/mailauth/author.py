"""The domains that a message could be read to come from: what DMARC protects is what a reader sees.

A well-formed From field names one. A field that mail programs may read in several ways names every domain that any of
them could show; DMARC then asks all of them, so that nothing is won by confusing us. What real senders get wrong
(commas and "@" in an unquoted display name) has one reading and stays sound.
"""

import re
from dataclasses import dataclass, field

from mailplat.filtering.header import Header
from mailplat.filtering.mailauth.domain import normalise

# Characters of one From field that are read: hundreds of addresses, yet nothing to chew on.
MAX_FIELD = 16 * 1024
# Author domains that are asked about. Real messages have one; each costs DNS questions.
MAX_DOMAINS = 4

# Anything that looks like a domain, for fields that cannot be read properly.
_LOOKALIKE = re.compile(r"@[\s<\"(]*((?:[\w-]+\.)+[\w-]+)")
_DOMAIN_RUN = re.compile(r"(?:[\w-]+\.)+[\w-]+")


@dataclass(frozen=True, slots=True)
class Author:
    """`domains` in order, each once, at most MAX_DOMAINS. `sound`: there is one From field, it is well-formed and all
    its addresses are of one domain; `reason` says what is wrong otherwise."""

    domains: tuple[str, ...]
    sound: bool
    reason: str = ""


@dataclass(slots=True)
class _Item:
    """One address of the list: text outside brackets, and what stands in brackets."""

    bare: str = ""
    angles: list[str] = field(default_factory=list)
    after: str = ""  # text behind the last bracket


def find_author(header: Header) -> Author:
    fields = header.named(b"from")
    if not header.complete:
        return Author((), False, "header block is too large")
    if not fields:
        return Author((), False, "no From field")
    domains: dict[str, None] = {}
    reason = "" if len(fields) == 1 else "more than one From field"
    for one in fields:
        found, sound = _read_field(one.value.decode("utf-8", "replace"))
        domains.update(dict.fromkeys(found))
        if not sound:
            reason = reason or "From is malformed"
    if len(domains) > 1:
        reason = reason or "more than one author domain"
    if not domains:
        reason = reason or "no author domain"
    return Author(tuple(domains)[:MAX_DOMAINS], not reason, reason)


def _read_field(text: str) -> tuple[list[str], bool]:
    """Domains, and whether there was no doubt about them."""
    items = _items(text[:MAX_FIELD]) if len(text) <= MAX_FIELD else None
    if items is None:
        return _anything(text[:MAX_FIELD]), False
    domains: list[str] = []
    for item in items:
        address = _address(item)
        if address is None:
            return _anything(text), False
        if "@" not in address:
            continue  # a piece of a display name with a comma in it, or <>
        raw = address.rpartition("@")[2].strip()
        if raw.startswith("[") and raw.endswith("]"):
            continue  # an address literal has no DNS
        if (domain := normalise(raw)) is None or "." not in domain:
            return _anything(text), False
        domains.append(domain)
    return domains, True


def _address(item: _Item) -> str | None:
    """The address of one item, None where it can be read in more than one way."""
    if not item.angles:
        bare = item.bare.strip()
        return None if "@" in bare and len(bare.split()) > 1 else bare
    if len(item.angles) > 1 or item.after.strip():
        return None
    # RFC 5322 4.4: an obsolete route may stand before the address
    return item.angles[0].rpartition(":")[2] if item.angles[0].startswith("@") else item.angles[0]


def _items(text: str) -> list[_Item] | None:
    """RFC 5322 3.4, without comments and quoted strings (their content is no address), without group names. None for
    brackets, quotes or comments that do not match, and for control characters."""
    if any((ord(character) < 32 and character != "\t") or character == "\x7f" for character in text):
        return None
    items = [_Item()]
    quoted = escaped = False
    comment = 0
    inside: list[str] | None = None  # of angle brackets
    for character in text:
        if escaped:
            escaped = False
        elif (quoted or comment) and character == "\\":
            escaped = True
        elif character == '"' and not comment:
            quoted = not quoted
        elif quoted:
            pass
        elif character == "(":
            comment += 1
        elif comment:
            comment -= character == ")"
        elif character == ")":
            return None
        elif inside is not None:
            if character == "<":
                return None
            if character == ">":
                items[-1].angles.append("".join(inside))
                inside = None
            else:
                inside.append(character)
        elif character == "<":
            inside = []
        elif character == ">":
            return None
        elif character == "," or character == ";":
            items.append(_Item())
        elif character == ":":
            items[-1].bare = ""  # what was before is the name of a group
        elif items[-1].angles:
            items[-1].after += character
        else:
            items[-1].bare += character
    return None if quoted or comment or inside is not None else items


def _anything(text: str) -> list[str]:
    """Every domain that some program could take for the author's."""
    found = [*_LOOKALIKE.findall(text)]
    for piece in re.findall(r"@([^\s,;<>]+)", text):
        found += _DOMAIN_RUN.findall(piece)
    return [domain for domain in map(normalise, found) if domain]
