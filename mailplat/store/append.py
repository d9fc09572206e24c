"""The second half of an append, and the only place where messages come to be: files into their mailboxes, then
rows, in one commit. Delivery, APPEND, migration; COPY uses `insert_messages` too.
"""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import AlreadyExists, LimitReached, MailplatError, NotFound, OverQuota, StaleEpoch
from mailplat.db.driver import change, fetch_one
from mailplat.store.expunge import take_out
from mailplat.store.flagsets import SEEN, Numbering
from mailplat.store.index import renderings
from mailplat.store.index.renderings import Columns
from mailplat.store.mailboxes import advance
from mailplat.store.maildir import dedupe_key, folder_of, keyed_name
from mailplat.store.quota import admit
from mailplat.store.sharing import set_shared, settle_share, share
from mailplat.store.site import MailboxRow, Site
from mailplat.store.staging import Berth, Staged, discard
from mailplat.store.types import MAX_UID, Appended

INSERT_MESSAGE = (
    "INSERT INTO message (mailbox_id, uid, modseq, flagset, size, internaldate, zone, saved_at, name, uidl)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# One look at all of an append, which may have thousands below UIDNEXT: a move gives each message the UID that it had.
_USED = "SELECT uid FROM message WHERE mailbox_id = ? AND uid IN (SELECT value FROM json_each(?)) LIMIT 1"
_WAS_USED = _USED.replace("message", "expunged")
INSERT_KEY = "INSERT INTO dedupe (mailbox_id, key, uid, modseq, at) VALUES (?, ?, ?, ?, ?)"
# Keys that one SELECT asks for.
_KEYS = 500

# What one recipient of several is refused with: `_enter` raises it before it has written anything of that berth.
REFUSALS = (NotFound, StaleEpoch, OverQuota, LimitReached)


@dataclass(slots=True)
class Arrival:
    """Messages on their way into mailboxes of one shard, all or none. For an append `berths` has one entry; a
    delivery has one message and a berth for each recipient. With `each` a berth that is refused is left out: its
    error stands among the results, and all others have the message."""

    site: Site
    berths: Sequence[Berth]
    staged: Sequence[Staged]
    each: bool = False
    replacing: tuple[int, int] | None = None  # (mailbox, UID) of a message that goes in the same transaction
    links: list[str] = field(default_factory=list)  # where files stand by now, in the order of `_targets`
    gone: dict[int, NotFound] = field(
        default_factory=dict
    )  # by number of the berth: no folder to put it into

    def place(self) -> Collection[str]:
        """Hard links for all berths but the last, then the rename; where a first call failed half-way, the rest.
        Steps: append.link, append.rename."""
        for source, target, last in islice(self._targets(), len(self.links), None):
            try:
                self._put(source, target, last=last)
            except NotFound as error:
                if not self.each:
                    raise
                self.gone[len(self.links)] = error
            self.links.append(target)
        return {os.path.dirname(path) for number, path in enumerate(self.links) if number not in self.gone}

    def _targets(self) -> Iterator[tuple[Path, str, bool]]:
        """(file in tmp/, where it goes, whether that is the last place for it)."""
        for staged in self.staged:
            for number, berth in enumerate(self.berths, 1):
                yield staged.path, f"{berth.folder}/{_file(berth, staged)}", number == len(self.berths)

    def _put(self, source: Path, target: str, *, last: bool) -> None:
        try:
            with disk.failures(target):
                if last:
                    disk.rename(source, target, "append.rename")
                else:
                    os.link(source, target)
                    disk.step("append.link")
        except FileNotFoundError as error:
            raise NotFound(f"{os.path.dirname(target)}: the mailbox was deleted meanwhile") from error

    def apply(self, connection: Connection) -> list[Appended | MailplatError]:
        results: list[Appended | MailplatError] = []
        if self.replacing is not None:
            # First, so that what it took is room for the new one (RFC 8508 3.3).
            take_out(self.site, connection, self.berths[0].residence, *self.replacing)
        shared = share(connection, [self.staged[0].size])[0] if len(self.berths) > 1 else None
        for number, berth in enumerate(self.berths):
            if number in self.gone:
                results.append(self.gone[number])
                continue
            try:
                results += _enter(self.site, connection, berth, self.staged, shared)
            except REFUSALS as error:
                if not self.each:
                    raise
                results.append(error)
        if shared is not None:
            settle_share(connection, shared)
        return results

    def abandon(self) -> None:
        """After a failure: no row speaks of these files."""
        discard(self.links)
        discard(staged.path for staged in self.staged)

    def drop_unused(self, results: Sequence[Appended | MailplatError]) -> None:
        """After the commit: files of messages that were here already, or that somebody cannot have."""
        per_berth = len(self.staged)
        for number, result in enumerate(results):
            berth, staged = self.berths[number // per_berth], self.staged[number % per_berth]
            if not is_fresh(result):
                discard([berth.folder / _file(berth, staged)])
        if self.gone:
            discard(staged.path for staged in self.staged)


def is_fresh(result: Appended | MailplatError) -> bool:
    """Whether the file that was placed for this is the message's."""
    return isinstance(result, Appended) and not result.duplicate


def _enter(
    site: Site, connection: Connection, berth: Berth, staged: Sequence[Staged], shared: int | None
) -> list[Appended]:
    account_id = berth.residence.account_id
    row, standing = site.check_write(connection, berth.residence, berth.mailbox_id)
    if row.name != berth.name:
        raise NotFound(f"account {account_id} has no mailbox {berth.name!r} any more")
    known = _known_keys(connection, row.id, {_key(berth, each) for each in staged})
    numbering = Numbering(connection, site.library, row.id, site.limits)
    fresh: list[NewRow] = []
    rendered: list[Columns] = []
    results: list[Appended | None] = []
    keys: dict[str, int] = {}
    for each in staged:
        key = _key(berth, each)
        if key in known:
            results.append(Appended(row.uidvalidity, *known[key], duplicate=True))
            continue
        if key and key in keys:
            raise AlreadyExists(f"one append has the dedupe key {each.message.dedupe!r} twice")
        if key:
            keys[key] = len(results)
        results.append(None)
        mask = numbering.mask_of(each.message.flags) if each.message.flags else 0
        name = keyed_name(each.name, dedupe_key(berth.dedupe))
        fresh.append(_new_row(each, name, mask, numbering.number_of(mask), shared))
        rendered.append(each.rendering)
    if not fresh:
        return [result for result in results if result is not None]
    added = sum(each.size for each in fresh)
    admit(site, connection, account_id, standing, added, len(fresh), berth.quota, berth.elsewhere)
    given = insert_messages(site, connection, row, fresh)
    renderings.insert(connection, row.id, zip((uid for uid, _ in given), rendered, strict=True))
    if not all(rendered):
        site.unrendered.set()
    numbers = iter(given)
    done = [Appended(row.uidvalidity, *next(numbers)) if result is None else result for result in results]
    if keys:
        now = int(site.clock.now())
        connection.exec_driver_sql(
            INSERT_KEY, [(row.id, key, done[at].uid, done[at].modseq, now) for key, at in keys.items()]
        )
    return done


@dataclass(slots=True)
class NewRow:
    """A row of `message` without the numbers that insert_messages gives."""

    uid: int | None
    modseq: int | None
    mask: int
    flagset: int
    size: int
    internaldate: int
    zone: int
    saved_at: int
    name: str
    uidl: str | None
    shared: int | None = None


def _new_row(staged: Staged, name: str, mask: int, flagset: int, shared: int | None) -> NewRow:
    message = staged.message
    return NewRow(
        message.uid,
        message.modseq,
        mask,
        flagset,
        staged.size,
        staged.internaldate,
        staged.zone,
        staged.saved_at,
        name,
        message.uidl or None,
        shared,
    )


def insert_messages(
    site: Site, connection: Connection, mailbox: MailboxRow, rows: Sequence[NewRow]
) -> list[tuple[int, int]]:
    """Give each a UID and the MODSEQ of this change, insert, and bring the mailbox's row up to date; their renderings
    are the caller's. Returns (uid, modseq) of each. Raises AlreadyExists for a UID that is or was in use,
    LimitReached when there are none left."""
    modseq, uidnext = mailbox.modseq + 1, mailbox.uidnext
    backfill = False
    numbers: list[tuple[int, int]] = []
    for row in rows:
        uid = uidnext if row.uid is None else row.uid
        backfill = backfill or uid < mailbox.uidnext or (row.modseq or modseq) < modseq
        uidnext = max(uidnext, uid + 1)
        numbers.append((uid, row.modseq or modseq))
    if uidnext > MAX_UID + 1:
        raise LimitReached(f"mailbox {mailbox.name!r} has no UID left")
    _check_free(connection, mailbox, [uid for uid, _ in numbers])
    advance(
        site,
        connection,
        mailbox,
        uidnext,
        max(mailbox.modseq, *(each for _, each in numbers)),
        messages=len(rows),
        unseen=sum(not row.mask & SEEN for row in rows),
        size=sum(row.size for row in rows),
        backfills=int(backfill),
    )
    change(
        connection,
        INSERT_MESSAGE,
        *(
            (
                mailbox.id,
                uid,
                number,
                row.flagset,
                row.size,
                row.internaldate,
                row.zone,
                row.saved_at,
                row.name,
                row.uidl,
            )
            for (uid, number), row in zip(numbers, rows, strict=True)
        ),
    )
    set_shared(
        connection,
        [
            (row.shared, mailbox.id, uid)
            for (uid, _), row in zip(numbers, rows, strict=True)
            if row.shared is not None
        ],
    )
    return numbers


def _check_free(connection: Connection, mailbox: MailboxRow, uids: list[int]) -> None:
    if len(set(uids)) != len(uids):
        raise AlreadyExists(f"one append to {mailbox.name!r} gives a UID twice")
    low = [uid for uid in uids if uid < mailbox.uidnext]
    if not low:
        return
    wanted = json.dumps(low)
    used = fetch_one(connection, _USED, (mailbox.id, wanted)) or fetch_one(
        connection, _WAS_USED, (mailbox.id, wanted)
    )
    if used is not None:
        raise AlreadyExists(f"UID {used[0]} of mailbox {mailbox.name!r} is or was in use")


def _key(berth: Berth, staged: Staged) -> str:
    return dedupe_key(berth.dedupe or staged.message.dedupe)


def _file(berth: Berth, staged: Staged) -> str:
    """Where the file stands in the end, and its name: links of one file say the delivery to their own mailbox."""
    name = keyed_name(staged.name, dedupe_key(berth.dedupe))
    return f"{folder_of(name)}/{name}"


def _known_keys(connection: Connection, mailbox_id: int, wanted: set[str]) -> dict[str, tuple[int, int]]:
    keys = list(wanted - {""})
    known: dict[str, tuple[int, int]] = {}
    for start in range(0, len(keys), _KEYS):
        some = keys[start : start + _KEYS]
        marks = ", ".join("?" * len(some))
        found = connection.exec_driver_sql(
            f"SELECT key, uid, modseq FROM dedupe WHERE mailbox_id = ? AND key IN ({marks})",
            (mailbox_id, *some),
        )
        known.update({key: (uid, modseq) for key, uid, modseq in found})
    return known
