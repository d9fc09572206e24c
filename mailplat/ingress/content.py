"""DATA on its way in, and where it is kept meanwhile."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from mailplat.core.errors import DiskFull, MailplatError, OverQuota, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.reply import BARE_NEWLINE, DISK_FULL, FENCED, TOO_LARGE, UNAVAILABLE, Reply, over_quota
from mailplat.core.spool import Body
from mailplat.ingress.limits import IngressLimits
from mailplat.wire.smtp.data import DataDecoder

log = structlog.get_logger("ingress")

# A folder on the disk where a message may be kept, and the threads that write there.
Place = tuple[Path, str]


class Content:
    """DATA being received. A full disk or too many octets is remembered and answered after the final dot,
    as the protocol wants; until then octets are read and dropped."""

    def __init__(self, places: Sequence[Place], limits: IngressLimits, executors: Executors) -> None:
        """`places`: where it may be kept on its way, the best one first."""
        (folder, self._pool), *self._others = places
        self.body = Body.create(folder)
        self._decoder = DataDecoder(limits.message_size)
        self._executors = executors
        self._failure: Reply | None = None

    @property
    def finished(self) -> bool:
        return self._decoder.finished

    @property
    def rest(self) -> bytes:
        return self._decoder.rest

    @property
    def refusal(self) -> Reply | None:
        """Why it cannot be kept, whatever the filters would say."""
        if self._decoder.too_large:
            return TOO_LARGE
        return BARE_NEWLINE if self._decoder.bare else self._failure

    async def feed(self, chunk: bytes) -> None:
        octets = self._decoder.feed(chunk)
        if not octets or self.refusal is not None:
            return
        try:
            if self.body.fits(len(octets)):
                self.body.write(octets)
            else:
                await self._executors.run(self._pool, self.body.write, octets)
        except MailplatError as error:
            log.warning("message not spooled", error=str(error))
            if not await self._carry_on(octets):
                self._failure = reply_for(error)

    async def _carry_on(self, octets: bytes) -> bool:
        """In another place: a disk in trouble is a matter of those whose mail is there, and of no other recipient."""
        while self._others:
            folder, self._pool = self._others.pop(0)
            try:
                self.body = await self._executors.run(self._pool, self.body.carry, folder, octets)
                return True
            except MailplatError as error:
                log.warning("message not spooled", error=str(error))
        return False


def reply_for(error: MailplatError) -> Reply:
    """CONTRACT, Replies. Anything that is not about this recipient's mailbox is temporary."""
    if isinstance(error, DiskFull):
        return DISK_FULL
    if isinstance(error, StaleEpoch):
        return FENCED
    if isinstance(error, OverQuota):
        return over_quota(error)
    if not isinstance(error, Unavailable):
        log.error("unexpected refusal", error=f"{type(error).__name__}: {error}")
    return UNAVAILABLE
