"""The canonical form of a certificate, its Ed25519 signature (RFC 8032), and its check anywhere.

    {"certificate": {...},
     "signature": {"algorithm": "Ed25519", "key": KEY-ID, "public_key": BASE64, "value": BASE64}}

Signed are the octets of the member "certificate" in the form of RFC 8785 (JSON Canonicalization Scheme): UTF-8,
members sorted, no blanks. Names of members are ASCII and numbers are integers below 2^53, so that any sorted and
compact JSON is that form. The key's id is the first 16 hexadecimal digits of the SHA-256 of its 32 octets.

The private key is made once, by revision 0012, and is in the database's table `secret` as all secrets that processes
share: who can read it can sign.
"""

import base64
import binascii
import hashlib
import json
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from mailplat.core.errors import InvalidInput, MailplatError, Unavailable
from mailplat.db.engine import Database
from mailplat.directory.tables import secret

ALGORITHM = "Ed25519"
FORMAT = "mailplat-certificate"
VERSION = 1

_KEY = "certificate-key"
_ID_DIGITS = 16
# Beyond it a number is another one to who reads it as a double (RFC 8259 6).
_LARGEST = 2**53 - 1
# A certificate of a domain of 100,000 mailboxes has some 100 MB; nobody hands us more.
MAX_OCTETS = 512 * 1024 * 1024


class NotGenuine(MailplatError):
    """A certificate that proves nothing; the text says why in one line."""


def canonical(value: Any) -> bytes:
    """RFC 8785. Raises ValueError for what has no canonical form here: floats, large numbers, names that are not
    ASCII, lone surrogates."""
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _check(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError(f"{value} is too large for a number")
    elif isinstance(value, list):
        for each in value:
            _check(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str) or not name.isascii():
                raise ValueError(f"{name!r} is no name of a member")
            _check(each)
    else:
        raise ValueError(f"{type(value).__name__} has no canonical form")


def private_key(database: Database) -> Ed25519PrivateKey:
    """The platform's. Raises Unavailable."""
    query = sa.select(secret.c.octets).where(secret.c.name == _KEY)
    with database.read() as connection:
        octets: bytes | None = connection.execute(query).scalar_one_or_none()
    if octets is None:
        raise Unavailable(f"table secret has no row {_KEY}, which revision 0012 made; restore it")
    return Ed25519PrivateKey.from_private_bytes(bytes(octets))


def pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def load_pem(octets: bytes) -> Ed25519PublicKey:
    """Raises InvalidInput."""
    try:
        key = load_pem_public_key(octets)
    except ValueError as error:
        raise InvalidInput(f"no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("the public key is no Ed25519 key")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_ID_DIGITS]


def sign(content: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """Raises ValueError for content that has no canonical form."""
    public = key.public_key()
    return {
        "certificate": content,
        "signature": {
            "algorithm": ALGORITHM,
            "key": key_id(public),
            "public_key": base64.b64encode(public.public_bytes_raw()).decode(),
            "value": base64.b64encode(key.sign(canonical(content))).decode(),
        },
    }


def check(octets: bytes, trusted: Ed25519PublicKey) -> dict[str, Any]:
    """The content of a certificate that `trusted` has signed. Raises NotGenuine. The key that a certificate brings
    along proves nothing: anybody has one."""
    if len(octets) > MAX_OCTETS:
        raise NotGenuine(f"a certificate of more than {MAX_OCTETS} octets")
    try:
        document = json.loads(octets, object_pairs_hook=_once)
        content, signature = document["certificate"], document["signature"]
        algorithm, name = signature["algorithm"], signature["key"]
        value = base64.b64decode(signature["value"], validate=True)
        signed = canonical(content)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise NotGenuine(f"this is no certificate: {type(error).__name__}: {str(error)[:120]}") from error
    if algorithm != ALGORITHM:
        raise NotGenuine(f"signed with {str(algorithm)[:40]!r}; only {ALGORITHM} is known")
    if name != key_id(trusted):
        raise NotGenuine(f"signed with key {str(name)[:40]!r}, which is not the trusted {key_id(trusted)}")
    try:
        trusted.verify(value, signed)
    except InvalidSignature:
        raise NotGenuine("the signature is wrong: it was changed, or another key signed it") from None
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise NotGenuine(f"signed, but no {FORMAT} of version {VERSION}")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8785 3.1: of two members of one name who reads takes the first or the last, as he likes."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found
