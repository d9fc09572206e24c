"""How fast a backend answers: a small command on a connection of its own, kept open between two of them."""

import asyncio
from pathlib import Path

from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.directory import Backend
from migration.sources.imap_account import ImapAccount
from migration.sources.pop3 import greet

# Seconds after which there is no answer.
PATIENCE_S = 10.0


class Probe:
    """As `account`, one that is being copied. Not for several at once; close() it.

    Where there is only POP3 it does not log in, so that it locks no maildrop: what is measured is a greeting and
    CAPA, not the disk behind them."""

    def __init__(self, backend: Backend, account: str, spool: Path, clock: Clock) -> None:
        self._backend, self._account, self._spool = backend, account, spool
        self._clock = clock
        self._source: ImapAccount | None = None

    async def __call__(self) -> float:
        """Seconds. Raises Unavailable, Throttled, Misbehaviour; the next call connects again."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                if not self._backend.imap:
                    began = self._clock.monotonic()
                    await greet(self._backend)
                    return self._clock.monotonic() - began
                if self._source is None:
                    self._source = await ImapAccount.open(self._backend, self._account, self._spool)
                began = self._clock.monotonic()
                await self._source.glance()
                return self._clock.monotonic() - began
        except TimeoutError as error:
            await self.close()
            raise Unavailable(f"backend {self._backend.name} answered nothing in {PATIENCE_S:g} s") from error
        except MailplatError:
            await self.close()
            raise

    async def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.close()
