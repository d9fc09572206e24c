"""One account's move at work: its row in the ledger, the source there, the shard here."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from mailplat.bus import Bus
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError
from mailplat.core.executors import Executors
from mailplat.core.limits.brake import BrakeLimits
from mailplat.core.route import Home, Route, RouteState, ShardHome
from mailplat.directory import Backend
from mailplat.queue import Queue
from migration import numbering, uidl
from migration.beside.carrier import Carrier
from migration.book import Book, Passage, Watermark
from migration.certificate import digests, manifest
from migration.certificate.manifest import Said
from migration.compared import Compared
from migration.ledger import Ledger, Move
from migration.origins import Origin, Origins
from migration.sources.contract import Fetched, Listed, Source, Status
from migration.sources.maildir.account import MaildirAccount
from migration.sources.pop3_account import Pop3Account
from migration.sources.shard import ShardAccount
from migration.target import Target

P = ParamSpec("P")
T = TypeVar("T")

# The progress in the ledger lags behind by at most this.
PROGRESS_S = 1.0
# What was compared since is compared again after a crash; for an account with many mailboxes the row is long.
KEEP_COMPARED_S = 10.0


class Paused(MailplatError):
    """The plan was paused, or the process is stopping: what is stored stays, the rest comes later."""


@dataclass(slots=True, kw_only=True)
class Tools:
    """What ending a fence takes; no source and no shard."""

    ledger: Book
    executors: Executors
    clock: Clock
    bus: Bus
    queue: Queue

    async def book(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A call on the ledger."""
        return await self.executors.run("migration", function, *args, **kwargs)


async def _no_rest() -> None:
    """Of a source that is ours, or while somebody waits for us."""


@dataclass(slots=True, kw_only=True)
class Fenced(Tools, ABC):
    """What goes through a fence, whichever way."""

    move: Passage

    @property
    def account_id(self) -> int:
        return self.move.account_id

    @property
    @abstractmethod
    def destination(self) -> Home: ...

    @abstractmethod
    async def close_writes(self, epoch: int) -> None:
        """Inside the fence, when all doors have acknowledged it."""

    async def open_writes(self, epoch: int) -> None:
        """Right before the commit: let the destination take what is written under it."""

    @abstractmethod
    def evidence(self) -> str:
        """What was compared, as the ledger keeps it."""


@dataclass(slots=True, kw_only=True)
class Crossing(Fenced, ABC):
    source: Source
    target: Target
    running: Callable[[], bool]
    rest: Callable[[], Awaitable[None]] = _no_rest  # after a batch, so that the source's users come first
    brake: BrakeLimits = field(default_factory=BrakeLimits)  # between shards there is none
    copied: int = 0  # messages here, as far as counted
    dropped: set[str] = field(default_factory=set)  # flags that our store does not take
    compared: Compared = field(default_factory=Compared)
    beside: Carrier | None = (
        None  # of what there is beside mail; between shards it need not move, or moves with it
    )
    settled: dict[str, Status] = field(
        default_factory=dict
    )  # mailboxes of a twin, as they were when found equal
    said: dict[str, Said] = field(default_factory=dict)  # what the last comparison inside a fence was told
    told: tuple[int, int] = field(init=False)  # messages at the source and here, as the ledger has them
    told_at: float = field(init=False)
    kept_at: float = field(init=False)

    def __post_init__(self) -> None:
        """An account that is done with before is written down once, at its end."""
        self.told = self.move.total, self.move.copied
        self.told_at = self.kept_at = self.clock.monotonic()

    @property
    def twin(self) -> ShardAccount | None:
        """The source, where it is one of our shards: the target then gets its very numbers."""
        return self.source if isinstance(self.source, ShardAccount) else None

    @abstractmethod
    async def uidls(self, name: str, status: Status, new: Sequence[Listed]) -> Mapping[int, str]:
        """POP3 UIDLs of new messages of the examined mailbox, where they are not our own."""

    async def keep_naming(self) -> None:
        """With the first copy: what the account's clients are used to."""

    async def keep_digests(self, name: str, status: Status, fetched: Sequence[Fetched]) -> None:
        """Before messages of the examined mailbox are stored. Between shards nothing is certified: numbers, octets
        and all else are compared by the two indexes."""

    async def before_expunge(self, uids: Sequence[int]) -> None:
        """These are gone at the source and are removed here next."""

    async def keep_manifest(self, fenced: Route) -> None:
        """Inside the fence, when both sides were found equal."""

    @property
    def destination(self) -> Home:
        return ShardHome(self.move.shard)

    async def close_writes(self, epoch: int) -> None:
        await self.target.grant(epoch)

    async def open_writes(self, epoch: int) -> None:
        """The shard first, so that nobody who reads the new row is refused there; then the row."""
        await self.target.grant(epoch)

    def evidence(self) -> str:
        return self.compared.to_json()

    async def keep_origin(self) -> None:
        """Both sides are the same and nobody writes: where a way back would begin."""

    def checkpoint(self) -> None:
        """Between two batches: raises Paused when it is time to stop."""
        if not self.running():
            raise Paused(f"{self.move.address}: paused")

    def hurry(self) -> None:
        """From here on users wait for us."""
        self.rest = _no_rest

    async def after_batch(self) -> None:
        await self.show_progress()
        await self.rest()

    async def show_progress(self) -> None:
        now = self.clock.monotonic()
        if now - self.told_at >= PROGRESS_S:
            self.told_at = now
            await self.tell(self.told[0])

    async def tell(self, total: int) -> None:
        """How far it is."""
        if (total, self.copied) != self.told:
            await self.book(self.ledger.set, self.account_id, total=total, copied=self.copied)
            self.told = total, self.copied

    async def keep_compared(self) -> None:
        now = self.clock.monotonic()
        if now - self.kept_at >= KEEP_COMPARED_S:
            self.kept_at = now
            await self.book(self.ledger.set, self.account_id, verified=self.compared.to_json())


@dataclass(slots=True, kw_only=True)
class LegacyCrossing(Crossing):
    """From a backend."""

    ledger: Ledger
    move: Move
    backend: Backend
    origins: Origins
    uidl_format: str = ""  # as far as it was found out
    matched: Mapping[int, str] = field(default_factory=dict)  # UIDLs of INBOX that have no format

    async def keep_origin(self) -> None:
        marks = await self.book(self.ledger.watermarks, self.account_id)
        found: list[Origin] = []
        for each in (await self.target.mailboxes()).values():
            mark = marks.get(each.name)
            status = mark.status if mark is not None else Status(0, 1, 0, None)
            # Where UIDNEXT is not said: above all that is there, which is what is here.
            first = status.uidnext or (await self.target.snapshot(each.id)).uidnext
            found.append(
                Origin(
                    object_id=each.object_id,
                    name=each.name,
                    wire=mark.wire if mark is not None else b"",
                    uidvalidity=status.uidvalidity,
                    first=first,
                    below=first,
                    modseq=each.modseq,
                )
            )
        await self.book(self.origins.begin, self.account_id, found)

    async def keep_naming(self) -> None:
        naming = await self.source.naming()
        if naming is not None:
            await self.book(self.ledger.set_naming, self.account_id, naming)

    async def keep_digests(self, name: str, status: Status, fetched: Sequence[Fetched]) -> None:
        await self.book(
            digests.keep, self.ledger.database, self.account_id, name, status.uidvalidity, fetched
        )

    async def keep_manifest(self, fenced: Route) -> None:
        await self.book(manifest.keep, self.ledger.database, self.account_id, fenced.epoch, self.said)
        self.said = {}

    async def before_expunge(self, uids: Sequence[int]) -> None:
        if isinstance(self.source, Pop3Account):
            await self.book(numbering.forget_some, self.ledger.database, self.account_id, uids)

    async def uidls(self, name: str, status: Status, new: Sequence[Listed]) -> Mapping[int, str]:
        if name != "INBOX":
            return {}
        if isinstance(self.source, Pop3Account):
            return uidl.all_but_ours(self.source.uidls(), status.uidvalidity, new)
        if self.matched and all(each.uid in self.matched for each in new):
            return {each.uid: self.matched[each.uid] for each in new}
        text = (
            self.uidl_format
            or self.move.uidl_format
            or await self.book(self.ledger.uidl_format, self.backend.name)
        )
        if isinstance(self.source, MaildirAccount):
            said = self.source.uidls
            return await uidl.take_from_files(
                said, self.backend, self.move.address, text, status.uidvalidity, new, self._places
            )
        uidls, text = await uidl.take_over(
            self.source, self.backend, self.move.address, text, status.uidvalidity, new, self._places
        )
        if text and text != self.uidl_format:
            await self.book(self.ledger.set, self.account_id, uidl_format=text)
        self.uidl_format, self.matched = text, {} if text else uidls
        return uidls

    async def _places(self) -> uidl.Places:
        inbox = (await self.target.mailboxes()).get("INBOX")
        return {} if inbox is None else await self.target.places(inbox.id)

    async def advance(
        self,
        route: Route,
        state: RouteState,
        *,
        home: Home | None = None,
        fence_deadline: float = 0.0,
        watermarks: list[Watermark] | None = None,
        **values: Any,
    ) -> Route:
        """A step of the route; then our own writes carry the new epoch."""
        new = await self.book(
            self.ledger.advance,
            route,
            state,
            home=home,
            fence_deadline=fence_deadline,
            watermarks=watermarks,
            **values,
        )
        await self.target.grant(new.epoch)
        return new
