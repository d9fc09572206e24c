"""DKIM key records (RFC 6376 3.6.1, RFC 8301, RFC 8463)."""

import base64
import binascii
from dataclasses import dataclass

import dkim.util
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

# RFC 8301 3.2: verifiers MUST NOT consider signatures with RSA keys of less than 1024 bits as valid.
MIN_RSA_BITS = 1024
# RFC 8301 3.2 asks for 4096; beyond 8192 a stranger chooses how long we compute.
MAX_RSA_BITS = 8192


class UnusableKey(Exception):
    """A key record that cannot be used; the text is ours and may stand in a field."""


class WeakKey(UnusableKey):
    """A signature with this key has permanently failed (RFC 8301 3.2)."""


@dataclass(frozen=True, slots=True)
class Key:
    """`strict_identity`: t=s, the domain of i= must be d= itself. `testing`: t=y."""

    public: RSAPublicKey | Ed25519PublicKey
    strict_identity: bool
    testing: bool

    @property
    def kind(self) -> str:
        """As in the first half of a=."""
        return "rsa" if isinstance(self.public, RSAPublicKey) else "ed25519"

    def verifies(self, signature: bytes, digest: bytes) -> bool:
        """`digest` is SHA-256 of the canonical header fields. RFC 8463 3: Ed25519 signs the digest itself."""
        try:
            if isinstance(self.public, RSAPublicKey):
                self.public.verify(signature, digest, padding.PKCS1v15(), Prehashed(SHA256()))
            else:
                self.public.verify(signature, digest)
        except InvalidSignature:
            return False
        return True


def parse_key(record: bytes) -> Key:
    """Raises UnusableKey. Unknown tags are ignored (RFC 6376 3.6.1)."""
    try:
        tags = dkim.util.parse_tag_value(record)
    except dkim.util.InvalidTagValueList:
        raise UnusableKey("key record is no tag list") from None
    if tags.get(b"v", b"DKIM1") != b"DKIM1":
        raise UnusableKey("key record has another version")
    if b"h" in tags and b"sha256" not in _words(tags[b"h"]):
        raise UnusableKey("key is not for SHA-256")
    if not {b"*", b"email"} & _words(tags.get(b"s", b"*")):
        raise UnusableKey("key is not for mail")
    octets = _decode(tags.get(b"p"))
    flags = _words(tags.get(b"t", b""))
    public = _load(tags.get(b"k", b"rsa"), octets)
    return Key(public, b"s" in flags, b"y" in flags)


def _words(value: bytes) -> frozenset[bytes]:
    return frozenset(word.strip() for word in value.split(b":"))


def _decode(text: bytes | None) -> bytes:
    if text is None:
        raise UnusableKey("key record has no p=")
    if not text:
        raise UnusableKey("key is revoked")  # RFC 6376 3.6.1: an empty p=
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise UnusableKey("key is not base64") from None


def _load(kind: bytes, octets: bytes) -> RSAPublicKey | Ed25519PublicKey:
    if kind == b"ed25519":
        try:
            return Ed25519PublicKey.from_public_bytes(octets)  # RFC 8463 4: the 32 octets themselves
        except ValueError:
            raise UnusableKey("key is no Ed25519 key") from None
    if kind != b"rsa":
        raise UnusableKey("key is of an unknown type")
    try:
        public = load_der_public_key(
            octets
        )  # RFC 6376 3.6.1 and erratum 3017: SubjectPublicKeyInfo or RSAPublicKey
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("key is no RSA key") from None
    if not isinstance(public, RSAPublicKey):
        raise UnusableKey("key is no RSA key")
    if public.key_size < MIN_RSA_BITS:
        raise WeakKey(f"RSA key of {public.key_size} bits is too short")
    if public.key_size > MAX_RSA_BITS:
        raise UnusableKey(f"RSA key of {public.key_size} bits is too long")
    return public
