"""A message on its way in, and where it is kept meanwhile."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from mailplat.core.errors import DiskFull, MailplatError, OverQuota, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.reply import BARE_NEWLINE, DISK_FULL, FENCED, TOO_LARGE, UNAVAILABLE, Reply, over_quota
from mailplat.core.spool import Body
from mailplat.wire.smtp.data import ChunkDecoder

log = structlog.get_logger("ingress")

# Octets read at once, of a body that is looked at again.
_CHUNK = 256 * 1024

# A folder on the disk where a message may be kept, and the threads that write there.
Place = tuple[Path, str]


class Decoder(Protocol):
    """DataDecoder or ChunkDecoder."""

    too_large: bool
    bare: bool

    def feed(self, chunk: bytes, /) -> bytes: ...


D = TypeVar("D", bound=Decoder)


class Content(Generic[D]):
    """A message being received. A full disk or too many octets is remembered and answered at its end, as the
    protocol wants; until then octets are read and dropped."""

    def __init__(self, places: Sequence[Place], decoder: D, executors: Executors) -> None:
        """`places`: where it may be kept on its way, the best one first."""
        (self.folder, self._pool), *self._others = places
        self.body = Body.create(self.folder)
        self.decoder = decoder
        self._executors = executors
        self._failure: Reply | None = None

    @property
    def refusal(self) -> Reply | None:
        """Why it cannot be kept, whatever the filters would say."""
        if self.decoder.too_large:
            return TOO_LARGE
        return BARE_NEWLINE if self.decoder.bare else self._failure

    async def feed(self, chunk: bytes) -> None:
        octets = self.decoder.feed(chunk)
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

    async def convert(self, change: Callable[[bytes], bytes]) -> None:
        """Let the message be what `change` makes of it. Raises DiskFull, Unavailable."""
        self.body = await self._executors.run(self._pool, self._converted, change)

    def _converted(self, change: Callable[[bytes], bytes]) -> Body:
        body = Body.create(self.folder)
        try:
            body.write(change(self.body.octets()))
        except BaseException:
            body.close()
            raise
        self.body.close()
        return body

    async def _carry_on(self, octets: bytes) -> bool:
        """In another place: a disk in trouble is a matter of those whose mail is there, and of no other recipient."""
        while self._others:
            self.folder, self._pool = self._others.pop(0)
            try:
                self.body = await self._executors.run(self._pool, self.body.carry, self.folder, octets)
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


def has_bare_ends(body: Body) -> bool:
    """Whether a CR or LF stands alone. Reads all of it: not for the event loop."""
    decoder = ChunkDecoder()
    with body.open() as file:
        while chunk := file.read(_CHUNK):
            decoder.feed(chunk)
    decoder.end()
    return decoder.bare
