"""Passwords that a backend accepted, kept as hashes: without one its user could not log in here after the cutover.

While an account lives on a backend the backend is the only judge, so its newest yes wins over any hash that was
imported or captured before; once the account lives here nothing is captured any more. A login never waits for it.
"""

import asyncio
import collections
import hashlib
import secrets

import structlog

from mailplat.core.errors import InvalidInput, MailplatError
from mailplat.core.executors import Executors
from mailplat.directory import Account, Directory
from mailplat.directory.credentials import hash_password, verify_password

log = structlog.get_logger("capture")

# Passwords that wait to be hashed, each held in memory until then. At 0.25 s in 2 threads this is 25 s of work; what
# comes on top is left for its owner's next login.
MAX_WAITING = 200
# Passwords already seen to fit their hash, so that a client that polls every minute costs one verification and not
# one a minute. 32 octets and some overhead each: about 10 MB.
MAX_KNOWN = 50_000


class Capture:
    """One per process. `taken` is called by the proxy."""

    def __init__(self, directory: Directory, executors: Executors) -> None:
        self._directory = directory
        self._executors = executors
        self._secret = secrets.token_bytes(32)
        self._known: collections.OrderedDict[bytes, None] = collections.OrderedDict()
        self._tasks: dict[bytes, asyncio.Task[None]] = {}

    def taken(self, account: Account, password: str) -> None:
        """A backend just accepted this password. Returns at once."""
        key = self._key(account, password)
        if key in self._known:
            self._known.move_to_end(key)
        elif key not in self._tasks and len(self._tasks) < MAX_WAITING:
            task = asyncio.create_task(self._keep(account, password, key))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def close(self) -> None:
        """What waits is left for its owner's next login: a process that stops does not stop for hashing."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, account: Account, password: str, key: bytes) -> None:
        try:
            if not await self._fits(account, password):
                new = await self._executors.run("password", hash_password, password)
                if not await self._executors.run("directory", self._directory.capture_password, account, new):
                    return  # moved, removed, or somebody else was first: the next login sees what is true then
                log.info("password captured", account=account.id, replaced=bool(account.password_hash))
                return  # the next login brings the new hash, and with it a new key
        except InvalidInput as error:
            log.warning("password cannot be captured", account=account.id, reason=str(error))
        except MailplatError as error:  # the directory is locked or gone: again at the next login
            log.warning("password not captured", account=account.id, reason=str(error))
            return
        self._known[key] = None
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def _fits(self, account: Account, password: str) -> bool:
        stored = account.password_hash
        address = account.address.key
        return bool(stored) and await self._executors.run(
            "password", verify_password, password, stored, address
        )

    def _key(self, account: Account, password: str) -> bytes:
        """With the hash that the directory has: a hash that changes is looked at anew."""
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (str(account.id), account.password_hash, password):
            octets = part.encode()
            digest.update(len(octets).to_bytes(4, "big") + octets)
        return digest.digest()
