"""One DKIM-Signature field (RFC 6376 3.5): read, and judged as far as it can be without key and body."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import dkim
import dkim.util
from dkim.canonicalization import CanonicalizationPolicy, InvalidCanonicalizationPolicyError

from mailplat.filtering.header import Field
from mailplat.filtering.mailauth.domain import is_within, normalise

# Octets of the whole field. A 4096-bit signature over a hundred names is 3 KiB.
MAX_SIZE = 8 * 1024
# Names in h=. Each may cost a search through the header block; signers list some thirty, oversigned sixty.
MAX_SIGNED_FIELDS = 200
# RFC 6376 3.5 x=: clocks differ; nobody's by more than this if mail is to arrive at all.
CLOCK_SLOP = 300.0

# RFC 6376 3.5 t=, x=: at most twelve digits reach the year 200,000; more are for overflowing something.
_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_WHITE = re.compile(rb"[ \t\r\n]+")


class Rejected(Exception):
    """This signature cannot pass whatever its key is. `result` is a DKIM result of RFC 8601 2.7.1; the text is ours
    and may stand in a field."""

    def __init__(self, result: str, reason: str, domain: str = "") -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason
        self.domain = domain  # d=, where it could be read


@dataclass(frozen=True, slots=True)
class Signature:
    """`names` are the lower-case field names of h= in order; `identity_domain` is of i=, d= where there is none."""

    field: Field
    domain: str
    selector: str
    algorithm: str
    identity_domain: str
    names: tuple[bytes, ...]
    policy: CanonicalizationPolicy
    body_hash: bytes
    value: bytes

    @property
    def relaxed_body(self) -> bool:
        return bool(self.policy.body_algorithm.name == b"relaxed")

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def b(self) -> str:
        """RFC 6008: the beginning of b= tells signatures of one domain apart."""
        return base64.b64encode(self.value).decode("ascii")[:8]

    def header_digest(self, fields: Sequence[Field]) -> bytes:
        """SHA-256 over the signed fields and this one without its b= (RFC 6376 3.7). `fields` is the whole header
        block, topmost first."""
        digest = hashlib.sha256()
        signed = [(field.octets[: field.start - 1], field.raw_value) for field in self._select(fields)]
        own = (self.field.octets[: self.field.start - 1], _without_b(self.field.raw_value))
        for name, value in self.policy.canonicalize_headers(signed):
            digest.update(name + b":" + value)
        ((name, value),) = self.policy.canonicalize_headers([own])
        digest.update(name + b":" + value.rstrip(b"\r\n"))
        return digest.digest()

    def _select(self, fields: Sequence[Field]) -> list[Field]:
        """RFC 6376 5.4.2: each time a name stands in h=, the next field of that name from the bottom; where
        there are no more, nothing. From is taken once more than listed, so that a field added on top breaks the
        signature."""
        left: dict[bytes, list[Field]] = {name: [] for name in self.names}
        for field in fields:
            if field.name in left:
                left[field.name].append(field)
        return [left[name].pop() for name in (*self.names, b"from") if left[name]]


def parse(field: Field, now: float) -> Signature:
    """Raises Rejected. `now` is Unix time in seconds."""
    if len(field.octets) > MAX_SIZE:
        raise Rejected("permerror", "signature field is too long")
    try:
        tags: dict[bytes, bytes] = dkim.util.parse_tag_value(field.raw_value)
        _check_algorithm(tags)
        _check_expiry(tags, now)
        dkim.validate_signature_fields(tags)
        policy = CanonicalizationPolicy.from_c_value(tags.get(b"c"))
        body_hash, value = _base64(tags[b"bh"]), _base64(tags[b"b"])
    except Rejected:
        raise
    except (dkim.DKIMException, dkim.util.InvalidTagValueList, InvalidCanonicalizationPolicyError):
        raise Rejected("permerror", "signature field is malformed") from None
    except (ValueError, LookupError, TypeError):  # dkimpy's own stumbles, such as i= without "@"
        raise Rejected("permerror", "signature field is malformed") from None
    domain, selector = _name(tags[b"d"]), _name(tags[b"s"])
    identity = _identity(tags, domain)
    names = tuple(name.strip().lower() for name in tags[b"h"].split(b":"))
    if b"from" not in names:  # RFC 6376 5.4: From MUST be signed
        raise Rejected("permerror", "From is not signed", domain)
    if len(names) > MAX_SIGNED_FIELDS:
        raise Rejected("permerror", "h= is too long")
    if b"l" in tags:  # RFC 6376 8.2: whoever holds the message can add to its body
        raise Rejected("policy", "l= leaves the end of the body unsigned", domain)
    return Signature(
        field, domain, selector, tags[b"a"].decode("ascii"), identity, names, policy, body_hash, value
    )


def _check_algorithm(tags: dict[bytes, bytes]) -> None:
    algorithm = tags.get(b"a", b"").lower()
    if algorithm == b"rsa-sha1":  # RFC 8301 3.1
        raise Rejected("fail", "rsa-sha1 is historic")
    if algorithm not in (b"rsa-sha256", b"ed25519-sha256"):
        raise Rejected("permerror", "unknown algorithm")
    tags[b"a"] = algorithm


def _check_expiry(tags: dict[bytes, bytes], now: float) -> None:
    """Before dkimpy looks, which allows ten hours and calls it a syntax error then."""
    if _TIMESTAMP.fullmatch(tags.get(b"x", b"")) and int(tags[b"x"]) + CLOCK_SLOP < now:
        raise Rejected("fail", "signature has expired")


def _name(value: bytes) -> str:
    name = normalise(value.decode("utf-8", "replace"))
    if name is None:
        raise Rejected("permerror", "d= or s= is no domain name")
    return name


def _identity(tags: dict[bytes, bytes], domain: str) -> str:
    """RFC 6376 3.5: the domain of i= MUST be d= or below it."""
    if b"i" not in tags:
        return domain
    identity = _name(tags[b"i"].rpartition(b"@")[2])
    if not is_within(identity, domain):
        raise Rejected("permerror", "i= is not within d=")
    return identity


def _base64(value: bytes) -> bytes:
    try:
        return base64.b64decode(_WHITE.sub(b"", value), validate=True)
    except binascii.Error:
        raise Rejected("permerror", "signature field is malformed") from None


def _without_b(value: bytes) -> bytes:
    """The field's value with the value of b= taken out, white space around it too (RFC 6376 3.7). dkimpy does this
    with an expression whose time explodes on long white space."""
    tags = value.split(b";")
    for place, tag in enumerate(tags):
        name, equals, _ = tag.partition(b"=")
        if equals and name.strip() == b"b":
            tags[place] = name + equals
    return b";".join(tags)
