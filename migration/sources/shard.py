"""An account in one of our own shards as a source: by the store's door, with every number that it has there.

Reading needs no epoch; the only write is `close_writes`, the fence on this side.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mailplat.core.errors import NotFound
from mailplat.core.executors import Executors
from mailplat.core.route import Residence
from mailplat.core.spool import MEMORY_LIMIT, Body
from mailplat.store import Mailbox, Shard, Store
from mailplat.store.transfer import Traces
from mailplat.store.types import MAX_UID
from mailplat.store.vault.owner import Owner, owner_of
from migration.sources.contract import Fetched, Listed, SourceMailbox, Span, Status, Survey, cut

_LISTED = ("uid", "flags", "modseq", "size", "internaldate", "internaldate_zone")


class ShardAccount:
    """A Source. A shard whose disk does not answer is Unavailable within the patience of its lane."""

    def __init__(self, store: Store, executors: Executors, residence: Residence) -> None:
        self._store = store
        self._executors = executors
        self._residence = residence
        self._mailbox = 0  # the examined one

    async def _ask(self, verb: str, *args: Any) -> Any:
        shard: Shard = await self._store.opened(self._residence.shard)
        lane = f"store/{self._residence.shard}"
        return await self._executors.ask(lane, getattr(shard, verb), self._residence, *args)

    async def survey(self) -> Survey:
        mailboxes: list[Mailbox] = await self._ask("mailboxes")
        names = frozenset(await self._ask("subscriptions"))
        found = tuple(
            SourceMailbox(b"%d" % each.id, each.name, each.special_use, each.object_id) for each in mailboxes
        )
        return Survey(found, names, {each.name: _status(each) for each in mailboxes})

    async def naming(self) -> None:
        return None

    async def examine(self, mailbox: SourceMailbox) -> Status:
        number = int(mailbox.wire)
        found: Mailbox = await self._ask("mailbox_by_id", number)
        if found.name != mailbox.name:
            raise NotFound(f"mailbox {mailbox.name!r} was renamed to {found.name!r}")
        self._mailbox = number
        return _status(found)

    async def spans(self) -> list[Span]:
        return cut((await self._ask("snapshot", self._mailbox)).uids)

    async def scan(
        self,
        *,
        details: bool = False,
        since: int | None = None,
        uids: Sequence[int] | None = None,
        span: Span | None = None,
    ) -> list[Listed]:
        """Sizes and dates cost nothing here and are always said."""
        if since is not None and uids is None:
            said: Traces = await self.traces(since)
            uids = [uid for uid, _, _ in said.changed]
        if uids is not None and not uids:
            return []
        ranges = _ranges(uids) if uids is not None else _range(span)
        rows = await self._ask("rows", self._mailbox, ranges, _LISTED)
        return [Listed(*row) for row in rows]

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        shard: Shard = await self._store.opened(self._residence.shard)
        lane, mailbox_id = f"store/{self._residence.shard}", self._mailbox
        return await self._executors.ask_or_undo(lane, _close, self._read, shard, mailbox_id, list(uids))

    def _read(self, shard: Shard, mailbox_id: int, uids: Sequence[int]) -> list[Fetched]:
        """Small ones into memory, a batch of them is bounded; of a large one the open file. Rows and octets cannot
        disagree: a message's octets never change, and of flags that change meanwhile the later round has the rest."""
        columns = ("uid", "flags", "internaldate", "internaldate_zone", "modseq", "saved_at", "size")
        rows = {row[0]: row[1:] for row in shard.rows(self._residence, mailbox_id, _ranges(uids), columns)}
        small = [(uid, uid) for uid, row in rows.items() if row[5] <= MEMORY_LIMIT]
        bodies: dict[int, Body] = {}
        try:
            if small:
                for uid, octets in shard.octets_many(self._residence, mailbox_id, small):
                    bodies[uid] = Body.of(octets)
            for uid, row in rows.items():
                if row[5] > MEMORY_LIMIT:
                    file = shard.open(self._residence, mailbox_id, uid)
                    if file is not None:
                        with file:
                            bodies[uid] = Body.of_open(file)
        except BaseException:
            for body in bodies.values():
                body.close()
            raise
        return [
            Fetched(uid, row[0], row[1], row[2], bodies[uid], row[3], row[4])
            for uid, row in rows.items()
            if uid in bodies
        ]

    async def close(self) -> None:
        """Nothing is held."""

    # what only a shard can tell

    async def traces(self, since: int) -> Traces:
        """What happened in the examined mailbox after this MODSEQ."""
        said: Traces = await self._ask("traces", self._mailbox, since)
        return said

    async def marks(
        self, uids: Sequence[int] | None = None, span: Span | None = None
    ) -> list[tuple[Any, ...]]:
        """(UID, MODSEQ, UIDL, saved date) of every message of the examined mailbox, of these, or of a span."""
        ranges = _ranges(uids) if uids is not None else _range(span)
        found: list[tuple[Any, ...]] = await self._ask(
            "rows", self._mailbox, ranges, ("uid", "modseq", "uidl", "saved_at")
        )
        return found

    async def uidls(self, uids: Sequence[int], uidvalidity: int) -> Mapping[int, str]:
        """Of those that have another one than ours would be."""
        rows = await self._ask("rows", self._mailbox, _ranges(uids), ("uid", "uidl"))
        return {uid: uidl for uid, uidl in rows if uidl != f"{uidvalidity}.{uid}"}

    async def owner(self) -> Owner:
        """What the vault knows of the account: its legal hold."""
        shard: Shard = await self._store.opened(self._residence.shard)
        lane, account_id = f"store/{self._residence.shard}", self._residence.account_id
        return await self._executors.ask(lane, owner_of, shard.site, account_id)

    async def close_writes(self, epoch: int) -> None:
        """From now on the shard takes no write but under `epoch`: whoever read the route before the fence is
        refused, and nobody is given a route with that epoch to write under."""
        shard: Shard = await self._store.opened(self._residence.shard)
        lane = f"store/{self._residence.shard}"
        await self._executors.run(lane, shard.grant, self._residence.account_id, epoch)


def _status(mailbox: Mailbox) -> Status:
    return Status(mailbox.uidvalidity, mailbox.uidnext, mailbox.messages, mailbox.modseq)


def _ranges(uids: Sequence[int]) -> list[tuple[int, int]]:
    return [(uid, uid) for uid in uids]


def _range(span: Span | None) -> list[tuple[int, int]] | None:
    return None if span is None else [(span[0], span[1] or MAX_UID)]


def _close(fetched: Sequence[Fetched]) -> None:
    for each in fetched:
        each.body.close()
