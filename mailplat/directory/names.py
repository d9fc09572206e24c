"""Names as the directory keeps them: domains as A-labels, alias sources."""

import functools

import idna

from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp.address import parse_address

# Characters of a name as a person writes it: 253 octets of A-labels are never more (RFC 1035 2.3.4).
MAX_NAME = 255

# Names whose key is kept, some 300 octets each: IDNA's rules take longer than the look-up that follows.
REMEMBERED = 10_000


@functools.lru_cache(REMEMBERED)
def domain_key(name: str) -> str:
    """A domain as A-labels in lower case. Raises InvalidInput."""
    if len(name) > MAX_NAME:
        raise InvalidInput(f"a domain name has at most {MAX_NAME} characters")
    try:
        key = idna.encode(name.strip().rstrip("."), uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise InvalidInput(f"{name!r} is no domain name: {error}") from error
    if "." not in key and key != "localhost":
        raise InvalidInput(f"{name!r} is no domain name: it needs at least two labels, such as example.org")
    return key


def alias_source(text: str) -> tuple[str, str]:
    """("key", "domain") of an alias's source: an address, or "@domain" for the catch-all. Raises InvalidInput."""
    if text.startswith("@"):
        name = domain_key(text[1:])
        return f"@{name}", name
    address = parse_address(text)
    return address.key, address.domain
