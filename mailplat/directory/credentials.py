"""Password hashes with scheme tags, and their verification off the event loop.

New passwords become argon2id (RFC 9106). Hashes that came from another platform are verified as they are; the tags
are Dovecot's. An untagged hash is refused: guessing a scheme is how a hash becomes a password.
"""

import asyncio
import base64
import collections
import hashlib
import secrets

import argon2
import structlog

from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.executors import Executors
from mailplat.directory.schemes import ENCODINGS, SCHEMES, decoded, split
from mailplat.directory.types import Account

log = structlog.get_logger("credentials")

_argon2 = argon2.PasswordHasher()

# A password longer than this is no password; hashing it would only cost us (RFC 8265 leaves a limit to us).
MAX_PASSWORD_OCTETS = 1024

# A success is remembered so long: a client that opens ten connections pays for one.
CACHE_TTL_S = 300.0
CACHE_ENTRIES = 10_000

# Log-ins that may wait for a free thread. 200 at 0.25 s in 2 threads is 25 s: more would time out anyway.
MAX_WAITING = 200


def hash_password(password: str) -> str:
    """A new hash, "{ARGON2ID}$argon2id$...". Costs 64 MiB and about 0.25 s. Raises InvalidInput."""
    if not password or len(password.encode()) > MAX_PASSWORD_OCTETS:
        raise InvalidInput(f"a password has 1 to {MAX_PASSWORD_OCTETS} octets")
    return "{ARGON2ID}" + _argon2.hash(password)


def check_hash(stored: str) -> str:
    """A hash that somebody gives us: it must have a tag that we know. Raises InvalidInput."""
    scheme, encoding, hashed = split(stored)
    if scheme not in SCHEMES or encoding not in ENCODINGS or not hashed:
        raise InvalidInput(f"a hash starts with its scheme in braces; known: {', '.join(sorted(SCHEMES))}")
    return stored


def verify_password(password: str, stored: str, address: str = "") -> bool:
    """False for a wrong password, an unknown scheme (logged) and a hash that cannot be read (logged). `address`: the
    account's, which is part of some hashes."""
    scheme, encoding, hashed = split(stored)
    verify = SCHEMES.get(scheme)
    if verify is None or encoding not in ENCODINGS or not hashed:
        log.warning("password hash with an unknown scheme", scheme=scheme)
        return False
    if not password or "\0" in password or len(password.encode()) > MAX_PASSWORD_OCTETS:
        return False  # crypt(3) would read up to the NUL
    try:
        return verify(password, decoded(scheme, encoding, hashed), address)
    except (ValueError, TypeError) as error:  # binascii.Error is a ValueError
        log.warning("password hash cannot be read", scheme=scheme, reason=type(error).__name__)
        return False


def is_outdated(stored: str) -> bool:
    """Whether a new hash of the same password would be a better one."""
    scheme, encoding, hashed = split(stored)
    if scheme != "ARGON2ID" or encoding:
        return True
    try:
        return _argon2.check_needs_rehash(hashed)
    except argon2.exceptions.InvalidHashError:
        return False  # it opens nothing, and nobody gets here with it


def _hash_of_nothing() -> str:
    """An argon2id hash that is no password's: random octets where the digest stands. To make a real one would cost
    every command the time of a login."""

    def text(octets: int) -> str:
        return base64.b64encode(secrets.token_bytes(octets)).decode().rstrip("=")

    cost = f"m={_argon2.memory_cost},t={_argon2.time_cost},p={_argon2.parallelism}"
    return f"{{ARGON2ID}}$argon2id$v=19${cost}${text(_argon2.salt_len)}${text(_argon2.hash_len)}"


class Verifier:
    """Passwords checked in the bounded executor "password"; successes are remembered for a short while under a
    keyed hash that only this process can make."""

    def __init__(self, executors: Executors, clock: Clock | None = None) -> None:
        self._executors = executors
        self._clock: Clock = clock or SystemClock()
        self._secret = secrets.token_bytes(32)
        self._known: collections.OrderedDict[bytes, float] = collections.OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._waiting = 0
        # Verified for nobody, so that an unknown user costs the time of a wrong password.
        self._nobody = _hash_of_nothing()

    async def verify(self, account: Account | None, password: str) -> bool:
        """Whether this is the account's password. None and an account without a hash take the same time and are
        False. Raises Unavailable when more than MAX_WAITING wait already."""
        stored = account.password_hash if account and account.password_hash else self._nobody
        key = self._key(account, stored, password)
        now = self._clock.monotonic()
        expires = self._known.get(key)
        if expires is not None and expires > now:
            return True
        # Ten connections of one client at once: one of them computes.
        running = self._running.get(key)
        if running is None:
            address = account.address.key if account else ""
            running = asyncio.ensure_future(self._compute(password, stored, address))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        right = await asyncio.shield(running)
        if not right or account is None or not account.password_hash:
            return False
        self._known[key] = now + CACHE_TTL_S
        self._known.move_to_end(key)
        while len(self._known) > CACHE_ENTRIES:
            self._known.popitem(last=False)
        return True

    async def _compute(self, password: str, stored: str, address: str) -> bool:
        if self._waiting >= MAX_WAITING:
            raise Unavailable(f"more than {MAX_WAITING} log-ins wait for their password to be checked")
        self._waiting += 1
        try:
            return await self._executors.run("password", verify_password, password, stored, address)
        finally:
            self._waiting -= 1

    def _key(self, account: Account | None, stored: str, password: str) -> bytes:
        """The stored hash is part of it: a changed password is forgotten at once."""
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (str(account.id if account else 0), stored, password):
            octets = part.encode()
            digest.update(len(octets).to_bytes(4, "big") + octets)
        return digest.digest()
