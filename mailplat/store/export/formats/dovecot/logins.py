"""`passwd`: what passdb and userdb passwd-file ask for (https://doc.dovecot.org/2.3/configuration_manual/authentication/passwd_file/).

    NAME:{SCHEME}HASH:UID:GID:GECOS:HOME:SHELL:EXTRA     UID, GID empty: mail_uid, mail_gid of dovecot.conf.example

Hashes are copied as they are, with their tags. One with a colon, a space or a letter beyond ASCII, which only {PLAIN}
can have, is written {PLAIN.b64}. Who has no hash gets one that no password has.
"""

import base64
import re

from mailplat.store.export.types import Owner

# `doveadm pw -l` of Dovecot 2.3 with libsodium, as Debian builds it.
SCHEMES = frozenset({
    "ARGON2I", "ARGON2ID", "BLF-CRYPT", "CLEAR", "CLEARTEXT", "CRAM-MD5", "CRYPT", "DES-CRYPT",
    "DIGEST-MD5", "HMAC-MD5", "LDAP-MD5", "MD5", "MD5-CRYPT", "OTP", "PBKDF2", "PLAIN", "PLAIN-MD4",
    "PLAIN-MD5", "PLAIN-TRUNC", "SCRAM-SHA-1", "SCRAM-SHA-256", "SHA", "SHA1", "SHA256", "SHA256-CRYPT",
    "SHA512", "SHA512-CRYPT", "SMD5", "SSHA", "SSHA256", "SSHA512",
})  # fmt: skip

# crypt(3) makes no such hash.
LOCKED = "{CRYPT}!"

# What auth_username_chars allows by default, and what else an address may have that means nothing in a path, a
# configuration file or one of Dovecot's variables.
DEFAULT_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@"
MORE_CHARACTERS = "!&'*+=?^`{|}~"

_WORD = re.compile(r"[!-9;-~]+", re.ASCII)


def scheme(stored: str) -> str:
    """Without its encoding; "" where there is no tag."""
    match = re.match(r"\{([^}]*)\}", stored)
    return match[1].upper().partition(".")[0] if match else ""


def password_field(stored: str) -> str:
    tag, closed, rest = stored.partition("}")
    if not closed or not rest:
        return LOCKED
    if _WORD.fullmatch(rest):
        return stored
    return f"{tag}.b64}}{base64.b64encode(rest.encode()).decode('ascii')}"


def line(owner: Owner, home: str) -> str:
    """`home` "": the one that mail_home makes of the name. The address is a name without a colon."""
    assert owner.address is not None
    extra = []
    if not owner.active:
        extra.append("nologin")
    if owner.quota:
        extra.append(f"userdb_quota_rule=*:bytes={owner.quota}")
    # %u, by which passwd-file looks names up, has these behind a backslash
    name = re.sub(r"([\\'\"])", r"\\\1", owner.address.key)
    return f"{name}:{password_field(owner.password_hash)}::::{home}::{' '.join(extra)}\n"


def problem_of_name(name: str) -> str:
    """Why Dovecot, as the example sets it up, cannot log in somebody of this name; "" where it can."""
    odd = sorted(set(name) - set(DEFAULT_CHARACTERS) - set(MORE_CHARACTERS))
    if not odd:
        return ""
    return f"the address has {' '.join(map(repr, odd))}: no login before auth_username_chars allows it"
