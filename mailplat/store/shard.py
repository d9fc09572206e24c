"""One shard: the door of its verbs. Each lives in the file of its name and says there what it raises."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mailplat.core.clock import Clock, SystemClock
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.rights import ALL, Rights
from mailplat.core.route import Residence
from mailplat.store import (
    accounts,
    acl,
    annotations,
    changes,
    copy,
    expunge,
    fetch,
    later,
    listing,
    mailboxes,
    namer,
    quota,
    renaming,
    rendered,
    renderer,
    search,
    sorting,
    threads,
    transfer,
)
from mailplat.store import flags as storing
from mailplat.store.acl import Grantee
from mailplat.store.behind import Behind
from mailplat.store.changes import Numbered
from mailplat.store.figures import Figures, figures
from mailplat.store.fulltext import keeper
from mailplat.store.fulltext.keeper import Rounds
from mailplat.store.identity import Expected
from mailplat.store.listing import Listing
from mailplat.store.quota import Crossing
from mailplat.store.ready import Ready
from mailplat.store.references import References
from mailplat.store.renderer import Rendering
from mailplat.store.site import Publisher, Site
from mailplat.store.sweeper import sweep_leaving
from mailplat.store.transfer import Traces
from mailplat.store.types import (
    Changes,
    CopyResult,
    Entry,
    FlagMode,
    Mailbox,
    Snapshot,
    StoreLimits,
    UidRanges,
)
from mailplat.store.upkeep import Upkeep
from mailplat.wire.imap.search import Key
from mailplat.wire.imap.sorting import Algorithm, Order
from mailplat.wire.imap.threads import Forest

# Connections to the index: the threads of executor "store" and "spool", the writer, the namer.
_CONNECTIONS = 28


class Shard:
    """Every method is synchronous and thread-safe: call them in executor "store". Messages come in through
    `Store.append` and `Store.deliver` only. Ranges of UIDs are pairs (low, high), None is all."""

    def __init__(
        self,
        name: str,
        path: Path,
        bus: Publisher,
        clock: Clock | None = None,
        limits: StoreLimits | None = None,
        *,
        upkeep: bool = True,
        expected: Expected | None = None,
        mend: bool = False,
        elsewhere: Callable[[str], int] | None = None,
        pinned: Callable[[int], bool] | None = None,
    ) -> None:
        """Opens the shard, making it in `path` where there is none. `upkeep` False: no thread brings names up to
        date (repairs, tests). `expected`: what the platform knows of it. `mend`: for `repair.rebuild`, which comes
        next, and for nobody else. `elsewhere`: octets of a pool in other shards.
        `pinned`: accounts whose tombstones are all kept. Raises Unavailable, Refused for an
        index that does not belong to the files, DiskFull."""
        self.name = name
        self.path = path
        self.site = Site(
            name,
            path,
            bus,
            clock or SystemClock(),
            limits or StoreLimits(),
            pool=_CONNECTIONS,
            expected=expected or Expected(),
            mend=mend,
            elsewhere=elsewhere,
            pinned=pinned,
        )
        self.tmp = self.site.tmp
        self._snapshots = Ready[Numbered](self.site.limits)
        self._references = References(self.site.limits.references)
        self._listings = Ready[Listing](self.site.limits)
        self._upkeep = Upkeep(self.site) if upkeep else None
        self._behind = _behind(self.site) if upkeep else []
        self._closing = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Finish what was begun, bring names up to date, close the index. Idempotent."""
        with self._closing:
            if not self._closed:
                self._closed = True
                for each in self._behind:
                    each.close()
                if self._upkeep is not None:
                    self._upkeep.close()
                self.site.close()

    def forget(self) -> None:
        """Drop what is remembered of the index: it was made anew."""
        self._snapshots.forget()
        self._references.forget()
        self._listings.forget()
        self.site.library.forget()

    # accounts

    def grant(self, account_id: int, epoch: int, pool: str = "") -> None:
        accounts.grant(self.site, account_id, epoch, pool)

    def remove_account(self, residence: Residence, *, address: str = "", moved: bool = False) -> None:
        accounts.remove_account(self.site, residence, address=address, moved=moved)

    def is_removed(self, residence: Residence) -> bool:
        return accounts.is_removed(self.site, residence)

    def usage(self, residence: Residence) -> tuple[int, int]:
        return accounts.usage(self.site, residence)

    def check_room(self, residence: Residence, octets: int, allowed: Quota) -> None:
        quota.check_room(self.site, residence, octets, allowed)

    def usages(self) -> dict[int, int]:
        return quota.usages(self.site)

    def pools(self) -> dict[str, int]:
        return quota.pools(self.site)

    def pool_octets(self, allowed: Quota) -> int:
        """Here and in other shards, where it has a limit."""
        return quota.pool_octets(self.site, allowed.pool) + self.site.elsewhere(allowed)

    def poolless(self, beyond: int, limit: int) -> list[int]:
        return quota.poolless(self.site, beyond, limit)

    def assign_pools(self, domains: Mapping[int, str]) -> None:
        quota.assign_pools(self.site, domains)

    def due_warnings(self, limit: int) -> list[Crossing]:
        return quota.due(self.site, limit)

    def settle_warning(self, crossing: Crossing, told: bool) -> None:
        quota.settle(self.site, crossing, told=told)

    def first_crossing(self, crossing: Crossing) -> int:
        return quota.first_crossing(self.site, crossing)

    def figures(self) -> Figures:
        return figures(self.site)

    # mailboxes

    def mailboxes(self, residence: Residence) -> list[Mailbox]:
        return mailboxes.list_mailboxes(self.site, residence)

    def mailbox(self, residence: Residence, name: str) -> Mailbox:
        return mailboxes.find_mailbox(self.site, residence, name)

    def mailbox_by_id(self, residence: Residence, mailbox_id: int) -> Mailbox:
        return mailboxes.mailbox_by_id(self.site, residence, mailbox_id)

    def create(
        self,
        residence: Residence,
        name: str,
        *,
        special_use: str = "",
        uidvalidity: int | None = None,
        uidnext: int | None = None,
        modseq: int | None = None,
        object_id: str | None = None,
    ) -> Mailbox:
        return mailboxes.create(
            self.site,
            residence,
            name,
            special_use=special_use,
            uidvalidity=uidvalidity,
            uidnext=uidnext,
            modseq=modseq,
            object_id=object_id,
        )

    def delete(self, residence: Residence, name: str, *, moved: bool = False) -> None:
        mailboxes.delete(self.site, residence, name, moved=moved)

    def rename(self, residence: Residence, old: str, new: str) -> None:
        renaming.rename(self.site, residence, old, new)

    def subscribe(self, residence: Residence, name: str, on: bool) -> None:
        mailboxes.subscribe(self.site, residence, name, on)

    def subscriptions(self, residence: Residence) -> list[str]:
        return mailboxes.subscriptions(self.site, residence)

    def annotations(self, residence: Residence, mailbox_id: int) -> dict[str, bytes]:
        return annotations.read_annotations(self.site, residence, mailbox_id)

    def all_annotations(self, residence: Residence) -> dict[int, dict[str, bytes]]:
        return annotations.all_annotations(self.site, residence)

    def annotate(self, residence: Residence, mailbox_id: int, values: Mapping[str, bytes | None]) -> None:
        annotations.annotate(self.site, residence, mailbox_id, values)

    def acl(self, residence: Residence, mailbox_id: int) -> dict[str, Entry]:
        return acl.read_acl(self.site, residence, mailbox_id)

    def acls(self, residence: Residence) -> dict[int, dict[str, Entry]]:
        return acl.read_acls(self.site, residence)

    def rights(self, residence: Residence, mailbox_id: int, who: Grantee) -> Rights:
        return acl.rights_of(self.site, residence, mailbox_id, who)

    def granted(self, residence: Residence, who: Grantee) -> dict[int, Rights]:
        return acl.granted(self.site, residence, who)

    def grantees(self, residence: Residence) -> set[int]:
        return acl.grantees(self.site, residence)

    def change_acl(
        self,
        residence: Residence,
        mailbox_id: int,
        identifier: str,
        grantee_id: int,
        how: str,
        rights: Rights,
    ) -> None:
        acl.change_acl(self.site, residence, mailbox_id, identifier, grantee_id, how, rights)

    def raise_uidnext(self, residence: Residence, mailbox_id: int, uidnext: int, modseq: int) -> None:
        mailboxes.raise_uidnext(self.site, residence, mailbox_id, uidnext, modseq)

    # reading

    def snapshot(self, residence: Residence, mailbox_id: int) -> Snapshot:
        return changes.snapshot(self.site, self._snapshots, residence, mailbox_id)

    def listing(self, residence: Residence, mailbox_id: int) -> Listing:
        return listing.listing(self.site, self._listings, residence, mailbox_id)

    def maildrop(self, residence: Residence, mailbox_id: int) -> Listing:
        """The same from the rows alone, whatever is remembered: to compare with."""
        return listing.fresh(self.site, residence, mailbox_id)

    def changes(self, residence: Residence, mailbox_id: int, since_modseq: int) -> Changes:
        return changes.changes(self.site, residence, mailbox_id, since_modseq)

    def rows(
        self, residence: Residence, mailbox_id: int, uids: UidRanges, columns: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        return rendered.rows(self.site, residence, mailbox_id, uids, columns)

    def octets(self, residence: Residence, mailbox_id: int, uid: int) -> bytes | None:
        return fetch.octets(self.site, residence, mailbox_id, uid)

    def open(self, residence: Residence, mailbox_id: int, uid: int) -> BinaryIO | None:
        return fetch.open_message(self.site, residence, mailbox_id, uid)

    def octets_many(
        self, residence: Residence, mailbox_id: int, uids: UidRanges
    ) -> Iterator[tuple[int, bytes]]:
        return fetch.octets_many(self.site, residence, mailbox_id, uids)

    def contents(
        self, residence: Residence, mailbox_id: int, listed: Iterable[tuple[int, str, int]]
    ) -> Iterator[bytes | None]:
        return fetch.contents(self.site, residence, mailbox_id, listed)

    def complete(
        self, residence: Residence, mailbox_id: int, uids: UidRanges
    ) -> Mapping[int, tuple[str, str]]:
        return later.complete(self.site, residence, mailbox_id, uids)

    def search(
        self, residence: Residence, mailbox_id: int, key: Key, *, deadline: float | None = None
    ) -> list[int]:
        return search.search(self.site, self._snapshots, residence, mailbox_id, key, deadline=deadline)

    def search_deadline(self) -> float:
        return search.deadline_of(self.site)

    def sort(
        self, residence: Residence, mailbox_id: int, uids: Sequence[int], orders: Sequence[Order]
    ) -> list[int]:
        return sorting.sort(self.site, residence, mailbox_id, uids, orders)

    def threads(
        self, residence: Residence, mailbox_id: int, uids: Sequence[int], algorithm: Algorithm
    ) -> Forest:
        return threads.threads(self.site, self._references, residence, mailbox_id, uids, algorithm)

    # writing

    def store_flags(
        self,
        residence: Residence,
        mailbox_id: int,
        uids: UidRanges,
        mode: FlagMode,
        flags: Collection[str],
        unchanged_since: int | None = None,
        *,
        rights: Rights = ALL,
    ) -> tuple[list[tuple[int, int, tuple[str, ...]]], list[int]]:
        return storing.store_flags(
            self.site, residence, mailbox_id, uids, mode, flags, unchanged_since, rights=rights
        )

    def expunge(self, residence: Residence, mailbox_id: int, uids: UidRanges) -> list[int]:
        r"""Those with \Deleted."""
        return expunge.expunge(self.site, residence, mailbox_id, uids, deleted_only=True)

    def expunge_uids(self, residence: Residence, mailbox_id: int, uids: UidRanges) -> list[int]:
        return expunge.expunge(self.site, residence, mailbox_id, uids, deleted_only=False)

    def copy(
        self,
        residence: Residence,
        mailbox_id: int,
        uids: UidRanges,
        target_name: str,
        *,
        quota: Quota = NO_QUOTA,
    ) -> CopyResult:
        return copy.copy(self.site, residence, mailbox_id, uids, target_name, move=False, quota=quota)

    def move(self, residence: Residence, mailbox_id: int, uids: UidRanges, target_name: str) -> CopyResult:
        return copy.copy(self.site, residence, mailbox_id, uids, target_name, move=True)

    # to another shard

    def traces(self, residence: Residence, mailbox_id: int, since: int) -> Traces:
        return transfer.traces(self.site, residence, mailbox_id, since)

    def take_over(self, residence: Residence, mailbox_id: int, said: Traces) -> tuple[int, int]:
        return transfer.take_over(self.site, residence, mailbox_id, said)

    def discard(self, account_id: int, epoch: int) -> None:
        transfer.discard(self.site, account_id, epoch)

    # upkeep

    def settle_names(self) -> int:
        """Bring names of files up to date now. Returns how many were renamed."""
        return namer.settle_names(self.site)

    def sweep(self) -> int:
        """Bring now into the vault, or remove, the files of what was expunged or deleted. Returns how many."""
        return sweep_leaving(self.site)

    def keep_texts(self) -> None:
        """Bring what is kept for SEARCH up to the index now."""
        rounds = Rounds(self.site)
        while rounds.round():
            pass

    def render_all(self) -> None:
        """Make now what was to be rendered later."""
        rounds = Rendering(self.site)
        while rounds.round():
            pass


def _behind(site: Site) -> list[Behind]:
    """The threads for what nobody waits for."""
    texts, rendering = threading.Event(), threading.Event()
    return [
        Behind("fulltext", site.name, Rounds(site, texts), site.fulltext.wake, texts, keeper.DELAY_S),
        Behind(
            "rendering", site.name, Rendering(site, rendering), site.unrendered, rendering, renderer.DELAY_S
        ),
    ]
