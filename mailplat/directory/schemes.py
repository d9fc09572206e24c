"""Hashes of passwords as other platforms have them, by the tags of Dovecot ({SSHA}, {SHA512-CRYPT}, `doveadm pw -l`).

A digest is base64 or hexadecimal, whichever its length says; `{SSHA.hex}` and `{PLAIN.b64}` say it outright, as
Dovecot has it. Not taken: {OTP} and {SKEY}, each of whose passwords opens once and never again.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

import argon2
from passlib import hash as schemes

from mailplat.directory.cram import cram_context
from mailplat.directory.crypt import verify_crypt

# Whether a password is the one of a hash; the third is the account's address, which {DIGEST-MD5} has in its hash.
# Neither password nor hash is empty. Raises ValueError for what is no hash of the scheme.
Verify = Callable[[str, str, str], bool]

_argon2 = argon2.PasswordHasher()

# Of PBKDF2 and SCRAM: more would hold one of two threads for longer than a second. Dovecot makes 5,000 and 4,096.
MOST_ROUNDS = 2_000_000

_PBKDF2 = re.compile(r"\$1\$(?P<salt>[^$]+)\$(?P<rounds>\d{1,9})\$(?P<digest>[0-9a-f]{40})", re.ASCII)
_SCRAM = re.compile(r"(\d{1,9}),([^,]+),([^,]+),([^,]+)", re.ASCII)
_TRUNCATED = re.compile(r"(\d{1,4})-(.*)", re.ASCII | re.DOTALL)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]*", re.ASCII)


def _argon2_verify(password: str, hashed: str, _address: str) -> bool:
    try:
        return _argon2.verify(hashed, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _crypt(password: str, hashed: str, _address: str) -> bool:
    return verify_crypt(password, hashed)


def _plain(password: str, stored: str, _address: str) -> bool:
    return hmac.compare_digest(password.encode(), stored.encode())


def _truncated(password: str, stored: str, _address: str) -> bool:
    """ "8-geheimes": only so many octets of the password count."""
    found = _match(_TRUNCATED, stored)
    return hmac.compare_digest(password.encode()[: int(found[1])], found[2].encode())


def _digest(make: Callable[[bytes], bytes]) -> Verify:
    def verify(password: str, stored: str, _address: str) -> bool:
        computed = make(password.encode())
        return hmac.compare_digest(computed, _octets(stored, len(computed)))

    return verify


def _hashed(name: str) -> Verify:
    return _digest(lambda octets: hashlib.new(name, octets, usedforsecurity=False).digest())


def _salted(name: str) -> Verify:
    """The digest of password and salt, then the salt (RFC 2307's practice)."""

    def verify(password: str, stored: str, _address: str) -> bool:
        octets = base64.b64decode(stored, validate=True)
        size = hashlib.new(name).digest_size
        if len(octets) <= size:
            raise ValueError("there is no salt")
        computed = hashlib.new(name, password.encode() + octets[size:], usedforsecurity=False).digest()
        return hmac.compare_digest(computed, octets[:size])

    return verify


def _digest_md5(password: str, stored: str, address: str) -> bool:
    """RFC 2831 2.1.2.1: MD5 of user:realm:password, where realm is what stands behind the @."""
    local, _, domain = address.rpartition("@")
    computed = hashlib.md5(f"{local}:{domain}:{password}".encode(), usedforsecurity=False).digest()
    return hmac.compare_digest(computed, _octets(stored, 16))


def _pbkdf2(password: str, stored: str, _address: str) -> bool:
    found = _match(_PBKDF2, stored)
    computed = hashlib.pbkdf2_hmac(
        "sha1", password.encode(), found["salt"].encode(), _rounds(found["rounds"])
    )
    return hmac.compare_digest(computed, bytes.fromhex(found["digest"]))


def _scram(name: str) -> Verify:
    """RFC 5802 3: iterations, salt, StoredKey, ServerKey."""

    def verify(password: str, stored: str, _address: str) -> bool:
        found = _match(_SCRAM, stored)
        salt = base64.b64decode(found[2], validate=True)
        salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, _rounds(found[1]))
        client = hmac.digest(salted, b"Client Key", name)
        return hmac.compare_digest(
            hashlib.new(name, client).digest(), base64.b64decode(found[3], validate=True)
        )

    return verify


def _windows(scheme: type, *, cut: int | None = None) -> Verify:
    def verify(password: str, stored: str, _address: str) -> bool:
        return hmac.compare_digest(scheme.hash(password[:cut]).lower(), stored.lower())  # type: ignore[attr-defined]

    return verify


def _rounds(text: str) -> int:
    rounds = int(text)
    if not 1 <= rounds <= MOST_ROUNDS:
        raise ValueError(f"{rounds} rounds")
    return rounds


def _match(form: re.Pattern[str], text: str) -> re.Match[str]:
    found = form.fullmatch(text)
    if found is None:
        raise ValueError("not of the scheme's form")
    return found


def _octets(text: str, size: int) -> bytes:
    if len(text) == 2 * size and _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    return base64.b64decode(text, validate=True)


SCHEMES: dict[str, Verify] = {
    "ARGON2ID": _argon2_verify,
    "ARGON2I": _argon2_verify,
    "BLF-CRYPT": _crypt,
    "SHA512-CRYPT": _crypt,
    "SHA256-CRYPT": _crypt,
    "MD5-CRYPT": _crypt,
    "MD5": _crypt,  # Dovecot's other name for it
    "DES-CRYPT": _crypt,
    "CRYPT": _crypt,  # the hash itself says which
    "SSHA": _salted("sha1"),
    "SSHA256": _salted("sha256"),
    "SSHA512": _salted("sha512"),
    "SMD5": _salted("md5"),
    "SHA": _hashed("sha1"),
    "SHA1": _hashed("sha1"),
    "SHA256": _hashed("sha256"),
    "SHA512": _hashed("sha512"),
    "LDAP-MD5": _hashed("md5"),
    "PLAIN-MD5": _hashed("md5"),
    "PLAIN-MD4": _digest(lambda octets: bytes.fromhex(schemes.hex_md4.hash(octets))),
    "CRAM-MD5": _digest(cram_context),
    "HMAC-MD5": _digest(cram_context),
    "DIGEST-MD5": _digest_md5,
    "PBKDF2": _pbkdf2,
    "SCRAM-SHA-1": _scram("sha1"),
    "SCRAM-SHA-256": _scram("sha256"),
    "NTLM": _windows(schemes.nthash),
    "LANMAN": _windows(schemes.lmhash, cut=14),
    "PLAIN-TRUNC": _truncated,
    "PLAIN": _plain,
    "CLEAR": _plain,
    "CLEARTEXT": _plain,
}

# What stands behind a scheme and a dot.
ENCODINGS = frozenset({"", "B64", "BASE64", "HEX"})

# Schemes whose hashes are octets; those of all others are text.
_BINARY = frozenset({
    "SSHA", "SSHA256", "SSHA512", "SMD5", "SHA", "SHA1", "SHA256", "SHA512", "LDAP-MD5", "PLAIN-MD5", "PLAIN-MD4",
    "CRAM-MD5", "HMAC-MD5", "DIGEST-MD5", "NTLM", "LANMAN",
})  # fmt: skip


def split(stored: str) -> tuple[str, str, str]:
    """Scheme and encoding in capitals, and the hash. No scheme: it has no tag."""
    if not stored.startswith("{"):
        return "", "", stored
    tag, closed, hashed = stored[1:].partition("}")
    scheme, _, encoding = tag.upper().partition(".")
    return (scheme, encoding, hashed) if closed else ("", "", stored)


def decoded(scheme: str, encoding: str, hashed: str) -> str:
    """The hash as the scheme's function takes it. Raises ValueError."""
    if not encoding:
        return hashed
    octets = bytes.fromhex(hashed) if encoding == "HEX" else base64.b64decode(hashed, validate=True)
    return base64.b64encode(octets).decode("ascii") if scheme in _BINARY else octets.decode()
