"""Paths and mailboxes of RFC 5321 4.1.2, with the extensions of RFC 6531 3.3 where the caller allows UTF-8.

Strict on purpose: no comments, no folding, no white space, no encoded words, no control characters. Whatever
is not in the grammar is InvalidInput, whose text never repeats what was sent. Work is linear, and bounded by
MAX_PATH whatever the length of the input.
"""

import ipaddress
import re
import unicodedata

import idna

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.errors import InvalidInput

# RFC 5321 4.5.3.1.1 to 4.5.3.1.3, octets. The path counts its angle brackets and its source route.
MAX_LOCAL = 64
MAX_DOMAIN = 255
MAX_PATH = 256

# RFC 1035 2.3.4, octets.
MAX_LABEL = 63

_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]"
_DOT_STRING = re.compile(_ATEXT + rb"+(?:\." + _ATEXT + rb"+)*")
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~\x80-\xff]|\\[ -~])*)"')
_ESCAPED = re.compile(rb"\\(.)")
_DOMAIN = re.compile(rb"[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9.\x80-\xff-]*[A-Za-z0-9\x80-\xff])?")
_LITERAL = re.compile(rb"\[([0-9A-Za-z:.]{2,64})\]")
_LABEL = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_LABEL - 2}}}[a-z0-9])?")

# Line and paragraph separators: no controls by category, but what follows them would look like another line.
_SEPARATORS = "\u2028\u2029"


def parse_path(text: bytes, *, utf8: bool, null_ok: bool) -> tuple[Address, bytes]:
    """The path at the start of `text` and the octets behind it (empty, or a space and parameters).

    `null_ok` says that this is a reverse-path, where `<>` is NULL_SENDER; a forward-path may instead be
    `<postmaster>` without a domain (RFC 5321 4.1.1.3). A source route is checked and ignored (appendix C).
    Raises InvalidInput.
    """
    if not text.startswith(b"<"):
        raise InvalidInput("a path begins with <")
    if null_ok and text.startswith(b"<>"):
        return NULL_SENDER, _after(text, 2)
    window = text[:MAX_PATH]
    at = _skip_route(window, utf8)
    local, at = _local_part(window, at, utf8)
    if window[at : at + 1] == b">" and not null_ok and local.casefold() == "postmaster":
        return Address("postmaster", ""), _after(text, at + 1)
    if window[at : at + 1] != b"@":
        raise InvalidInput("a mailbox is local-part@domain")
    domain, at = _domain_part(window, at + 1, utf8)
    if window[at : at + 1] != b">":
        raise _unfinished(text)
    return Address(local, domain), _after(text, at + 1)


def parse_address(text: str) -> Address:
    """`local@domain` as people write it in a command or a setting; UTF-8 is welcome. Raises InvalidInput."""
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("an address is text in UTF-8") from None
    local, at = _local_part(octets, 0, True)
    if octets[at : at + 1] != b"@":
        raise InvalidInput(f"{text!r} is no address; write name@domain")
    domain, at = _domain_part(octets, at + 1, True)
    if at != len(octets) or at + 2 > MAX_PATH:
        raise InvalidInput(f"{text!r} is no address; write name@domain")
    return Address(local, domain)


def parse_domain(text: str) -> str:
    """A domain name as lower-case A-labels (RFC 5890 2.3.2.1), the form that the directory keeps. No address
    literal. Raises InvalidInput."""
    if len(text) > MAX_DOMAIN:
        raise InvalidInput(f"a domain has at most {MAX_DOMAIN} octets")
    if text.isascii():
        name = text.lower()
    else:
        try:
            name = idna.encode(text, uts46=True, std3_rules=True).decode()
        except UnicodeError:
            raise InvalidInput("a domain label is not valid in IDNA 2008") from None
    if len(name) > MAX_DOMAIN:
        raise InvalidInput(f"a domain has at most {MAX_DOMAIN} octets")
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidInput("a domain is letters, digits and hyphens, in labels of at most 63 octets")
    return name


def format_mailbox(address: Address) -> str:
    """As the wire wants it, quoted only where it has to be: the inverse of `parse_path`, without brackets."""
    if address == NULL_SENDER:
        return ""
    local = address.local
    if not _DOT_STRING.fullmatch(local.encode(errors="surrogateescape")):
        local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local}@{address.domain}" if address.domain else local


def format_path(address: Address) -> str:
    return f"<{format_mailbox(address)}>"


def needs_utf8(address: Address) -> bool:
    """Only a local part can: a domain is kept as A-labels."""
    return not address.local.isascii()


def _after(text: bytes, at: int) -> bytes:
    rest = text[at:]
    if rest and not rest.startswith(b" "):
        raise InvalidInput("a space belongs between the path and its parameters")
    return rest


def _unfinished(text: bytes) -> InvalidInput:
    if len(text) >= MAX_PATH and b">" not in text[:MAX_PATH]:
        return InvalidInput(f"a path has at most {MAX_PATH} octets")
    return InvalidInput("a path ends with > behind its domain")


def _skip_route(text: bytes, utf8: bool) -> int:
    """`@a,@b:` before the mailbox. Where the mailbox begins."""
    at = 1
    if text[at : at + 1] != b"@":
        return at
    while True:
        if text[at : at + 1] != b"@":
            raise InvalidInput("a source route is @domain,@domain:")
        _, at = _domain_part(text, at + 1, utf8)
        separator = text[at : at + 1]
        if separator not in (b",", b":"):
            raise InvalidInput("a source route is @domain,@domain:")
        at += 1
        if separator == b":":
            return at


def _local_part(text: bytes, at: int, utf8: bool) -> tuple[str, int]:
    if text[at : at + 1] == b'"':
        found = _QUOTED.match(text, at)
        if found is None:
            raise InvalidInput("a quoted local part is printable and ends with a quote")
        local = _ESCAPED.sub(rb"\1", found[1])
    else:
        found = _DOT_STRING.match(text, at)
        if found is None:
            raise InvalidInput("a local part is words joined by single dots, or quoted")
        local = found[0]
    if found.end() - at > MAX_LOCAL:
        raise InvalidInput(f"a local part has at most {MAX_LOCAL} octets")
    if not local:
        raise InvalidInput("a local part is not empty")
    return _text(local, utf8), found.end()


def _domain_part(text: bytes, at: int, utf8: bool) -> tuple[str, int]:
    if text[at : at + 1] == b"[":
        literal = _LITERAL.match(text, at)
        if literal is None:
            raise InvalidInput("an address literal is [192.0.2.1] or [IPv6:2001:db8::1]")
        return _address_literal(literal[1].decode()), literal.end()
    found = _DOMAIN.match(text, at)
    if found is None:
        raise InvalidInput("a domain is letters, digits and hyphens, joined by dots")
    if found.end() - at > MAX_DOMAIN:
        raise InvalidInput(f"a domain has at most {MAX_DOMAIN} octets")
    return parse_domain(_text(found[0], utf8)), found.end()


def _address_literal(text: str) -> str:
    # RFC 5321 4.1.3. IPv6 is the only tag that IANA has registered.
    try:
        if text[:5].upper() == "IPV6:":
            return f"[IPv6:{ipaddress.IPv6Address(text[5:])}]"
        return f"[{ipaddress.IPv4Address(text)}]"
    except ValueError:
        raise InvalidInput("an address literal is [192.0.2.1] or [IPv6:2001:db8::1]") from None


def _text(octets: bytes, utf8: bool) -> str:
    if octets.isascii():
        return octets.decode()
    if not utf8:
        raise InvalidInput("an address with 8-bit octets needs SMTPUTF8")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise InvalidInput("an address is not valid UTF-8") from None
    if any(unicodedata.category(character) == "Cc" or character in _SEPARATORS for character in text):
        raise InvalidInput("an address has no control characters")
    return text
