"""The way back to a platform that has only POP3: nothing can be written there, so only an account where nothing has
happened here since the commit can go. That is asked before anything else, and again inside the fence, when nobody
writes any more; the rest is that of every way back.

Mail that comes while the fence is there is held and relayed to the backend behind it, as always.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.app.wiring import Platform
from mailplat.core import disk
from mailplat.core.errors import InvalidInput
from mailplat.core.route import BackendHome, Home, Residence, Route, RouteState
from mailplat.directory import Backend
from mailplat.store import Shard
from migration import fence
from migration.back.preview import Preview, preview
from migration.back.travel import residence
from migration.book import Book, Round
from migration.crossing import Fenced
from migration.errors import FenceAborted, Halt
from migration.fence import FENCE_S, Phases
from migration.ledger import Move
from migration.origins import Origin, Origins
from migration.target import Target


def loss(found: Preview) -> str:
    """What the user would miss there; "" where nothing."""
    counts = (
        (found.messages, "messages that came here"),
        (found.flags, "messages whose flags changed"),
        (found.gone, "messages that were removed here and would be there again"),
        (found.made, "mailboxes that were made"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def check(platform: Platform, moves: Sequence[Move]) -> None:
    """Raises InvalidInput for accounts whose backend has only POP3 and that are not there what they are here.
    Synchronous."""
    origins, backends = (
        Origins(platform.database),
        {each.name: each for each in platform.directory.backends()},
    )
    lost = []
    for move in moves:
        backend = backends.get(move.backend)
        if move.route.state is not RouteState.NEW or backend is None or backend.imap:
            continue
        here = residence(move)
        text = loss(preview(platform.store.shard(here.shard), here, origins.of(move.account_id)))
        if text:
            lost.append(f"{move.address}: {text}")
    if lost:
        more = f"; and {len(lost) - 5} more accounts" if len(lost) > 5 else ""
        raise InvalidInput(
            "mail cannot go back to a platform that has only POP3, and would be lost to its users:"
            f" {'; '.join(lost[:5])}{more}. Nothing was fenced, nothing changed"
        )


@dataclass(slots=True, kw_only=True)
class BareReturn(Fenced):
    ledger: Book
    move: Move
    backend: Backend
    here: Target
    shard: Shard
    origins: dict[str, Origin]

    @property
    def destination(self) -> Home:
        return BackendHome(self.move.backend)

    async def close_writes(self, epoch: int) -> None:
        """From now on the shard takes no write but this engine's."""
        await self.here.grant(epoch)

    def evidence(self) -> str:
        return "{}"

    async def lost(self) -> str:
        residence: Residence = self.here.residence
        lane = f"store/{residence.shard}"
        return loss(await self.executors.run(lane, preview, self.shard, residence, self.origins))


async def travel(returning: BareReturn, *, length: float = FENCE_S) -> Route:
    """To the commit. Raises Halt before the fence, FenceAborted inside it, where something would be lost."""
    await returning.here.grant(returning.move.route.epoch)
    text = await returning.lost()
    if text:
        raise Halt(f"the backend has only POP3, nothing can be written there; would be lost: {text}")
    return await fence.hold(
        returning, returning.move.route, lambda _, phases: _look_again(returning, phases), length
    )


async def _look_again(returning: BareReturn, phases: Phases) -> Round:
    began = returning.clock.now()
    text = await returning.lost()
    if text:
        raise FenceAborted(f"the backend has only POP3, nothing can be written there; would be lost: {text}")
    disk.step("move.delta")
    phases.end("verify")
    return Round("back", began)
