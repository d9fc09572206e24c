"""One account's way back at work: its row in the ledger, the shard here, the backend there."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mailplat.core.limits.brake import BrakeLimits
from mailplat.core.route import BackendHome, Home
from mailplat.directory import Backend
from migration.beside.giving import Giver
from migration.book import Book
from migration.crossing import Fenced, Paused
from migration.ledger import Move
from migration.origins import Origin, Origins, drop, put
from migration.sources.imap_writer import ImapWriter
from migration.target import Target


@dataclass(slots=True, kw_only=True)
class Return(Fenced):
    ledger: Book  # which asks whether the turn is still this worker's
    move: Move
    backend: Backend
    origins: Origins
    here: Target
    there: ImapWriter
    beside: Giver
    running: Callable[[], bool]
    brake: BrakeLimits
    dropped: set[str] = field(default_factory=set)  # flags that the backend does not keep
    doomed: dict[str, set[int]] = field(default_factory=dict)  # by MAILBOXID: strays that are here by now
    checked: dict[str, int] = field(default_factory=dict)  # by MAILBOXID: octets were compared below this UID

    @property
    def destination(self) -> Home:
        return BackendHome(self.move.backend)

    async def close_writes(self, epoch: int) -> None:
        """From now on the shard takes no write but this engine's: nobody is given a route with that epoch."""
        await self.here.grant(epoch)

    def evidence(self) -> str:
        return "{}"

    def checkpoint(self) -> None:
        if not self.running():
            raise Paused(f"{self.move.address}: the way back was cancelled, or the process is stopping")

    async def put(self, origin: Origin) -> None:
        await self.book(self.ledger.within, put, self.account_id, origin)

    async def drop(self, object_id: str) -> None:
        await self.book(self.ledger.within, drop, self.account_id, object_id)
