"""Hashes that came from another platform become argon2id when their owner logs in; a login never waits for it.

Only of accounts that live here for good: while one lives on a backend capture.py keeps what that took last, and
as long as it may go back there its hash says whether its password was changed here. What SCRAM
needs was made of the same password and stays (directory/scram_keys.py).
"""

import asyncio
import collections

import structlog

from mailplat.access.enrolment import Enrolment
from mailplat.core.errors import InvalidInput, MailplatError
from mailplat.core.executors import Executors
from mailplat.directory import Account
from mailplat.directory.credentials import hash_password, is_outdated
from mailplat.directory.scram_keys import ScramStore

log = structlog.get_logger("login")

# Passwords that wait to be hashed, each in memory until then; the rest is left for its owner's next login. They are
# hashed one after the other, 0.25 s each, so that one of two threads stays with those who log in.
MAX_WAITING = 200


class Rehash:
    """One for a process, in its event loop."""

    def __init__(
        self, store: ScramStore, enrolment: Enrolment, executors: Executors, *, wanted: bool
    ) -> None:
        self._enrolment = enrolment
        self._store = store
        self._executors = executors
        self._wanted = wanted
        self._waiting: collections.OrderedDict[int, tuple[Account, str]] = collections.OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def offer(self, account: Account, password: str) -> None:
        """This is the account's own password, and it lives here. Returns at once."""
        if not self._wanted or not is_outdated(account.password_hash):
            return
        if account.id in self._waiting or len(self._waiting) >= MAX_WAITING:
            return
        self._waiting[account.id] = account, password
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def settled(self) -> None:
        """Returns when nothing waits any more."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """What waits is left for its owner's next login."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                account, password = next(iter(self._waiting.values()))
                await self._renew(account, password)
                self._waiting.pop(account.id, None)
        finally:
            self._task = None

    async def _renew(self, account: Account, password: str) -> None:
        run = self._executors.run
        await self._enrolment.settled()  # keys that are being made are bound to the hash that there was
        try:
            if not await run("directory", self._store.may_renew, account):
                return  # 0.25 s for nothing at each login, for weeks
            new = await run("password", hash_password, password)
            if await run("directory", self._store.renew_hash, account, new):
                log.info("password hashed anew", account=account.id)
        except InvalidInput as error:
            log.info("this password cannot be hashed anew", account=account.id, reason=str(error))
        except MailplatError as error:  # the directory is locked or gone: again at the next login
            log.warning("password not hashed anew", account=account.id, reason=str(error))
