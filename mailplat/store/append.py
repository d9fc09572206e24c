"""The second half of an append, and the only place where messages come to be: files into their mailboxes, then
rows, in one commit. Delivery, APPEND, migration; COPY uses `insert_messages` too.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import AlreadyExists, LimitReached, NotFound
from mailplat.store.accounts import add_usage, check_quota
from mailplat.store.flagsets import SEEN, Numbering
from mailplat.store.index.tables import rendering_id
from mailplat.store.mailboxes import advance
from mailplat.store.maildir import folder_of
from mailplat.store.site import MailboxRow, Site
from mailplat.store.staging import Berth, Staged, discard
from mailplat.store.types import MAX_UID, Appended

INSERT_RENDERING = (
    "INSERT INTO rendering (id, header_size, sent, sent_day, subject, sender, recipient, cc, bcc, message_id,"
    " envelope, body, bodystructure) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_MESSAGE = (
    "INSERT INTO message (mailbox_id, uid, modseq, flagset, size, internaldate, zone, saved_at, name, uidl)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_KEY = "INSERT INTO dedupe (mailbox_id, key, uid, modseq, at) VALUES (?, ?, ?, ?, ?)"
# Keys that one SELECT asks for.
_KEYS = 500


@dataclass(slots=True)
class Arrival:
    """Messages on their way into mailboxes of one shard, all or none. For an append `berths` has one entry; a
    delivery has one message and a berth for each recipient."""

    site: Site
    berths: Sequence[Berth]
    staged: Sequence[Staged]
    links: list[str] = field(default_factory=list)  # where files stand by now, in the order of `_targets`

    def place(self) -> Collection[str]:
        """Hard links for all berths but the last, then the rename; where a first call failed half-way, the rest.
        Steps: append.link, append.rename."""
        for source, target, last in islice(self._targets(), len(self.links), None):
            self._put(source, target, last=last)
        return {os.path.dirname(path) for path in self.links}

    def _targets(self) -> Iterator[tuple[Path, str, bool]]:
        """(file in tmp/, where it goes, whether that is the last place for it)."""
        folders = [os.fspath(berth.folder) for berth in self.berths]
        for staged in self.staged:
            for number, folder in enumerate(folders, 1):
                yield staged.path, f"{folder}/{folder_of(staged.name)}/{staged.name}", number == len(folders)

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
        self.links.append(target)

    def apply(self, connection: Connection) -> list[Appended]:
        results: list[Appended] = []
        for berth in self.berths:
            results += _enter(self.site, connection, berth, self.staged)
        return results

    def abandon(self) -> None:
        """After a failure: no row speaks of these files."""
        discard(self.links)
        discard(staged.path for staged in self.staged)

    def drop_duplicates(self, results: Sequence[Appended]) -> None:
        """After the commit: files of messages that were here already."""
        if any(result.duplicate for result in results):
            per_berth = len(self.staged)
            for number, result in enumerate(results):
                berth, staged = self.berths[number // per_berth], self.staged[number % per_berth]
                if result.duplicate:
                    discard([berth.folder / folder_of(staged.name) / staged.name])


def _enter(site: Site, connection: Connection, berth: Berth, staged: Sequence[Staged]) -> list[Appended]:
    account_id = berth.residence.account_id
    row, octets = site.check_write(connection, berth.residence, berth.mailbox_id)
    if row.name != berth.name:
        raise NotFound(f"account {account_id} has no mailbox {berth.name!r} any more")
    known = _known_keys(connection, row.id, staged)
    numbering = Numbering(connection, site.library, row.id, site.limits)
    fresh: list[NewRow] = []
    results: list[Appended | None] = []
    keys: dict[str, int] = {}
    for each in staged:
        key = each.message.dedupe
        if key in known:
            results.append(Appended(row.uidvalidity, *known[key], duplicate=True))
            continue
        if key and key in keys:
            raise AlreadyExists(f"one append has the dedupe key {key!r} twice")
        if key:
            keys[key] = len(results)
        results.append(None)
        mask = numbering.mask_of(each.message.flags) if each.message.flags else 0
        fresh.append(_new_row(each, mask, numbering.number_of(mask)))
    if not fresh:
        return [result for result in results if result is not None]
    added = sum(each.size for each in fresh)
    check_quota(account_id, octets, added, berth.quota)
    numbers = iter(insert_messages(site, connection, row, fresh))
    done = [Appended(row.uidvalidity, *next(numbers)) if result is None else result for result in results]
    add_usage(connection, account_id, added, len(fresh))
    if keys:
        now = int(site.clock.now())
        connection.exec_driver_sql(
            _INSERT_KEY, [(row.id, key, done[at].uid, done[at].modseq, now) for key, at in keys.items()]
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
    columns: tuple[Any, ...] = ()  # of `rendering`, behind its id; a copy brings none, it takes another row's


def _new_row(staged: Staged, mask: int, flagset: int) -> NewRow:
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
        staged.name,
        message.uidl or None,
        staged.rendering,
    )


def insert_messages(
    site: Site, connection: Connection, mailbox: MailboxRow, rows: Sequence[NewRow]
) -> list[tuple[int, int]]:
    """Give each a UID and the MODSEQ of this change, insert, and bring the mailbox's row up to date.
    Returns (uid, modseq) of each. Raises AlreadyExists for a UID that is or was in use, LimitReached when
    there are none left."""
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
    connection.exec_driver_sql(
        INSERT_MESSAGE,
        [
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
        ],
    )
    renderings = [
        (rendering_id(mailbox.id, uid), *row.columns)
        for (uid, _), row in zip(numbers, rows, strict=True)
        if row.columns
    ]
    if renderings:
        connection.exec_driver_sql(INSERT_RENDERING, renderings)
    return numbers


def _check_free(connection: Connection, mailbox: MailboxRow, uids: list[int]) -> None:
    if len(set(uids)) != len(uids):
        raise AlreadyExists(f"one append to {mailbox.name!r} gives a UID twice")
    low = [uid for uid in uids if uid < mailbox.uidnext]
    for uid in low:
        used = connection.exec_driver_sql(
            "SELECT 1 FROM message WHERE mailbox_id = ? AND uid = ?"
            " UNION ALL SELECT 1 FROM expunged WHERE mailbox_id = ? AND uid = ?",
            (mailbox.id, uid, mailbox.id, uid),
        ).fetchone()
        if used is not None:
            raise AlreadyExists(f"UID {uid} of mailbox {mailbox.name!r} is or was in use")


def _known_keys(
    connection: Connection, mailbox_id: int, staged: Sequence[Staged]
) -> dict[str, tuple[int, int]]:
    keys = list({each.message.dedupe for each in staged} - {""})
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
