"""Our side of a move: one account in a shard, under the epoch that its route gave us."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mailplat.core.errors import StaleEpoch
from mailplat.core.executors import Executors
from mailplat.core.quota import Quota
from mailplat.core.rights import Rights
from mailplat.core.route import Residence
from mailplat.core.spool import MEMORY_LIMIT, Body
from mailplat.store import Appended, Mailbox, NewMessage, Shard, Snapshot, Store
from mailplat.store.listing import Listing
from mailplat.store.transfer import Traces, is_closed
from mailplat.store.types import MAX_UID, Entry
from mailplat.store.vault.owner import Owner, keep_hold
from migration.sources.contract import Fetched, Span

_CHUNK = 1024 * 1024


class Target:
    """The store's verbs, awaited. A write under an epoch that is no longer the account's raises StaleEpoch: a
    worker that slept through a take-over writes nothing (research/migration.md §4.2)."""

    def __init__(self, store: Store, executors: Executors, residence: Residence, domain: str = "") -> None:
        """What is moved is never refused for a quota; it is counted with its `domain`."""
        self._store = store
        self._executors = executors
        self.residence = residence
        self._lane = f"store/{residence.shard}"
        self._quota = Quota(pool=domain)

    async def grant(self, epoch: int) -> None:
        """Write under this epoch from now on, and let nobody write under an older one."""
        shard = await self._shard()
        await self._executors.run(self._lane, shard.grant, self.residence.account_id, epoch, self._quota.pool)
        self.residence = Residence(self.residence.account_id, self.residence.shard, epoch)

    async def give_up(self, epoch: int) -> None:
        """The account lives elsewhere since: remove it here, but for what a legal hold keeps. `epoch`: that of the
        fence, granted here last. Idempotent. Raises StaleEpoch where another one was granted since."""
        shard = await self._shard()
        residence = Residence(self.residence.account_id, self.residence.shard, epoch)
        try:
            await self._executors.run(self._lane, shard.remove_account, residence, moved=True)
        except StaleEpoch:
            if not await self._executors.run(self._lane, is_closed, shard.site, residence.account_id):
                raise

    async def discard(self, epoch: int) -> None:
        """The copy goes, of an account that never lived here; `epoch` was granted here last. Idempotent. Raises
        Unavailable where a higher one was."""
        shard = await self._shard()
        await self._executors.run(self._lane, shard.discard, self.residence.account_id, epoch)

    async def _shard(self) -> Shard:
        return await self._executors.run(self._lane, self._store.shard, self.residence.shard)

    async def _run(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        shard = await self._shard()
        return await self._executors.run(self._lane, getattr(shard, verb), self.residence, *args, **kwargs)

    async def spool(self) -> Path:
        return (await self._shard()).tmp

    async def mailboxes(self) -> dict[str, Mailbox]:
        return {each.name: each for each in await self._run("mailboxes")}

    async def mailbox(self, mailbox_id: int) -> Mailbox:
        found: Mailbox = await self._run("mailbox_by_id", mailbox_id)
        return found

    async def create(
        self, name: str, *, special_use: str, uidvalidity: int, modseq: int, object_id: str | None
    ) -> Mailbox:
        made: Mailbox = await self._run(
            "create",
            name,
            special_use=special_use,
            uidvalidity=uidvalidity,
            modseq=modseq,
            object_id=object_id,
        )
        return made

    async def delete(self, name: str, *, moved: bool) -> None:
        """`moved`: what goes is in the vault of its source already."""
        await self._run("delete", name, moved=moved)

    async def hold(self, owner: Owner) -> None:
        """The account's legal hold, as it is at its source."""
        shard = await self._shard()
        await self._executors.run(self._lane, keep_hold, shard.site, owner)

    async def take_over(self, mailbox_id: int, said: Traces) -> tuple[int, int]:
        """How many messages (changed, went)."""
        done: tuple[int, int] = await self._run("take_over", mailbox_id, said)
        return done

    async def rename(self, old: str, new: str) -> None:
        await self._run("rename", old, new)

    async def subscriptions(self) -> frozenset[str]:
        return frozenset(await self._run("subscriptions"))

    async def subscribe(self, name: str, on: bool) -> None:
        await self._run("subscribe", name, on)

    async def raise_numbers(self, mailbox_id: int, uidnext: int, modseq: int) -> None:
        await self._run("raise_uidnext", mailbox_id, uidnext, modseq)

    async def snapshot(self, mailbox_id: int) -> Snapshot:
        found: Snapshot = await self._run("snapshot", mailbox_id)
        return found

    async def rows(
        self,
        mailbox_id: int,
        columns: Sequence[str],
        uids: Collection[int] | None = None,
        span: Span | None = None,
    ) -> list[tuple[Any, ...]]:
        """Of all messages, of `uids`, or of those in `span`."""
        ranges = None if uids is None else _ranges(uids)
        if span is not None:
            ranges = [(span[0], span[1] or MAX_UID)]
        found: list[tuple[Any, ...]] = await self._run("rows", mailbox_id, ranges, columns)
        return found

    async def places(self, mailbox_id: int) -> dict[str, tuple[int, float]]:
        """UIDs and their places in POP3's order, by UIDL."""
        listing: Listing = await self._run("maildrop", mailbox_id)
        places, ordered = listing.places(), listing.in_order()
        return {ordered.uidl(place): (uid, places[uid]) for place, uid in enumerate(ordered.uids)}

    async def maildrop(self, mailbox_id: int) -> list[tuple[int, str]]:
        """UIDs and UIDLs as POP3 shows them here, in its order."""
        listing: Listing = await self._run("maildrop", mailbox_id)
        ordered = listing.in_order()
        return [(uid, ordered.uidl(place)) for place, uid in enumerate(ordered.uids)]

    async def traces(self, mailbox_id: int, since: int) -> Traces:
        said: Traces = await self._run("traces", mailbox_id, since)
        return said

    async def marks(
        self, mailbox_id: int, uids: Collection[int] | None = None, span: Span | None = None
    ) -> list[tuple[Any, ...]]:
        """(UID, MODSEQ, UIDL, saved date) of every message, of these, or of a span."""
        return await self.rows(mailbox_id, ("uid", "modseq", "uidl", "saved_at"), uids, span)

    async def compare(self, mailbox_id: int, fetched: Sequence[Fetched]) -> list[int]:
        """The UIDs of those whose octets are others here, or not here. Small ones are read with one look at the
        index: asking it for each takes longer than reading."""
        shard = await self._shard()

        def different() -> list[int]:
            small = {each.uid: each.body for each in fetched if each.body.size <= MEMORY_LIMIT}
            same = {
                uid
                for uid, octets in shard.octets_many(self.residence, mailbox_id, _ranges(small))
                if len(octets) == small[uid].size and octets == _octets(small[uid])
            }
            return [
                each.uid
                for each in fetched
                if each.uid not in same
                and (each.uid in small or not _same(each, shard.open(self.residence, mailbox_id, each.uid)))
            ]

        return await self._executors.run(self._lane, different)

    async def content(self, mailbox_id: int, uid: int) -> bytes | None:
        """The octets of one message; None where it has gone."""
        found: bytes | None = await self._run("octets", mailbox_id, uid)
        return found

    async def renumber(self, mailbox: Mailbox, uids: Collection[int]) -> int:
        """Give these messages fresh UIDs, above all that were ever used there; how many."""
        moved = await self._run("move", mailbox.id, _ranges(uids), mailbox.name)
        return len(moved.target_uids)

    async def octets(self) -> int:
        """Of all messages of the account."""
        octets, _ = await self._run("usage")
        return int(octets)

    async def store_flags(self, mailbox_id: int, uids: Collection[int], flags: Collection[str]) -> int:
        """Set these flags and no others; how many messages changed."""
        changed, _ = await self._run("store_flags", mailbox_id, _ranges(uids), "set", flags)
        return len(changed)

    async def expunge(self, mailbox_id: int, uids: Collection[int]) -> int:
        return len(await self._run("expunge_uids", mailbox_id, _ranges(uids)))

    async def acls(self) -> dict[int, dict[str, Entry]]:
        """By mailbox number, of those that are shared."""
        found: dict[int, dict[str, Entry]] = await self._run("acls")
        return found

    async def set_rights(self, mailbox_id: int, identifier: str, number: int, rights: Rights) -> None:
        """These and no others; NONE takes all. Who gives makes the row that leads there first (directory/shares.py).
        Raises LimitReached."""
        await self._run("change_acl", mailbox_id, identifier, number, "", rights)

    async def grantees(self) -> set[int]:
        found: set[int] = await self._run("grantees")
        return found

    async def append(self, mailbox: str, messages: Sequence[NewMessage]) -> list[Appended]:
        return await self._store.append(self.residence, mailbox, messages, quota=self._quota)


def _ranges(uids: Collection[int]) -> list[tuple[int, int]]:
    return [(uid, uid) for uid in sorted(uids)]


def _octets(body: Body) -> bytes:
    with body.open() as file:
        return file.read()


def _same(fetched: Fetched, file: BinaryIO | None) -> bool:
    if file is None:
        return False
    with file, fetched.body.open() as there:
        return _digest(file) == _digest(there)


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.digest()
