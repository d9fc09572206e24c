"""COPY and MOVE: a hard link under a new name, a row with the same rendering (RFC 3501 6.4.7, RFC 6851)."""

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import InDoubt, NotFound, Unavailable
from mailplat.core.hint import MailboxChanged
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store.append import NewRow, insert_messages
from mailplat.store.expunge import REMOVED, remove_messages
from mailplat.store.fetch import select_messages
from mailplat.store.flagsets import Numbering
from mailplat.store.index import renderings
from mailplat.store.maildir import find_file, first_name, folder_of, new_unique, parse_name, saved_at
from mailplat.store.names import canonical
from mailplat.store.quota import add_usage, admit
from mailplat.store.sharing import set_shared, share
from mailplat.store.site import MailboxRow, Site, Work
from mailplat.store.staging import discard
from mailplat.store.types import CopyResult, UidRanges

_COLUMNS = REMOVED + ", m.internaldate, m.zone, m.shared"


def copy(
    site: Site,
    residence: Residence,
    mailbox_id: int,
    uids: UidRanges,
    target_name: str,
    *,
    move: bool,
    quota: Quota = NO_QUOTA,
) -> CopyResult:
    """All or nothing, in one commit; a message that is expunged meanwhile is left out. Flags and INTERNALDATE
    go with it. `quota` is not asked by a move: it brings nothing. Raises NotFound for either mailbox, OverQuota,
    StaleEpoch, DiskFull, LimitReached."""
    account_id = residence.account_id
    site.check_space(0)
    elsewhere = 0 if move else site.elsewhere(quota)
    with site.read() as connection:
        site.check_epoch(connection, residence)
        source = site.mailbox_by_id(connection, account_id, mailbox_id)
        target = site.mailbox_by_name(connection, account_id, canonical(target_name))
        found = _select(connection, mailbox_id, uids)
    links, alone = _link_all(site, source, target, found, move=move)

    def place() -> set[str]:
        return {str(path.parent) for path in links.values()}

    def apply(connection: Connection) -> CopyResult:
        standing = site.check_epoch(connection, residence)
        here = site.mailbox_by_id(connection, account_id, mailbox_id)
        there = site.mailbox_by_id(connection, account_id, target.id)
        present = [each for each in _select(connection, mailbox_id, uids) if each[0] < source.uidnext]
        if not all(each[0] in links for each in present):
            raise Unavailable(
                f"mailbox {source.name!r}: a file was being renamed; try again, or run shard verify"
            )
        if not present:
            return CopyResult(there.uidvalidity, [], [])
        octets = sum(each[2] for each in present)
        if move:
            add_usage(connection, account_id, octets, len(present))  # what goes is taken off below
        else:
            admit(site, connection, account_id, standing, octets, len(present), quota, elsewhere)
        shared = _share(connection, here, [each for each in present if each[0] not in alone], move=move)
        numbers = _insert_copies(site, connection, here, there, present, links, shared)
        if move:
            here = site.mailbox_by_id(connection, account_id, mailbox_id)
            numbering = Numbering(connection, site.library, mailbox_id, site.limits)
            remove_messages(site, connection, here, present, numbering)
        return CopyResult(there.uidvalidity, [each[0] for each in present], [uid for uid, _ in numbers])

    try:
        result = site.submit(Work(apply, place if links else None)).result()
        disk.step("copy.commit")
    except InDoubt:  # as for an append
        raise
    except BaseException:
        discard(links.values())
        raise
    discard(path for uid, path in links.items() if uid not in set(result.source_uids))
    site.publish(*(MailboxChanged(account_id, changed) for changed in {mailbox_id, target.id}))
    return result


def _select(connection: Connection, mailbox_id: int, uids: UidRanges) -> list[Sequence[Any]]:
    return [each for piece in select_messages(connection, mailbox_id, uids, _COLUMNS) for each in piece]


def _link_all(
    site: Site, source: MailboxRow, target: MailboxRow, messages: Sequence[Sequence[Any]], *, move: bool
) -> tuple[dict[int, Path], set[int]]:
    """UID -> the new file, and the UIDs of those that are files of their own. One that is gone is left out. Step:
    copy.link."""
    here, there = site.mailbox_folder(source), site.mailbox_folder(target)
    links: dict[int, Path] = {}
    alone: set[int] = set()
    try:
        for each in messages:
            said = parse_name(each[3])
            key = said.key if move else ""  # a copy was not delivered
            name = first_name(new_unique(), each[2], each[5], key=key, coding=said.coding)
            path = there / "new" / name
            linked = _link(site, here, each[3], path)
            if linked is None:
                continue
            links[each[0]] = path
            if not linked:
                alone.add(each[0])
            disk.step("copy.link")
    except BaseException:
        discard(links.values())
        raise
    return links, alone


def _link(site: Site, folder: Path, name: str, target: Path) -> bool | None:
    """None when the message has no file any more: it was expunged."""
    with disk.failures(target):
        with contextlib.suppress(FileNotFoundError):
            return _link_or_write(site, folder / folder_of(name) / name, target)
        if not target.parent.is_dir():
            raise NotFound(f"{target.parent}: the mailbox was deleted meanwhile")
        found = find_file(folder, name.partition(",")[0])  # renamed between the row and us
        if found is not None and parse_name(found).coding == parse_name(name).coding:
            with contextlib.suppress(FileNotFoundError):
                return _link_or_write(site, folder / folder_of(found) / found, target)
    return None


def _link_or_write(site: Site, source: Path, target: Path) -> bool:
    """False where the file has as many names as its filesystem allows (ext4: 65,000), so that a second file had to be
    written: the copies of one user must not take from others, who share the file, the way to move it."""
    try:
        os.link(source, target, follow_symlinks=False)
        return True
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
    staged = site.tmp / target.name.partition(",")[0]
    body = Body.of_file(source)
    try:
        body.save(staged, b"", "copy", mtime=source.stat().st_mtime)
    finally:
        body.close()
    disk.rename(staged, target, "copy.rename")
    return False


def _share(
    connection: Connection, here: MailboxRow, messages: Sequence[Sequence[Any]], *, move: bool
) -> dict[int, int]:
    """UID -> the number of the file that a message and its copy share. What is moved keeps the file for itself."""
    numbers = {each[0]: each[6] for each in messages if each[6] is not None}
    if not move:
        fresh = [each for each in messages if each[6] is None]
        given = share(connection, [each[2] for each in fresh])
        set_shared(
            connection, [(number, here.id, each[0]) for number, each in zip(given, fresh, strict=True)]
        )
        numbers |= {each[0]: number for number, each in zip(given, fresh, strict=True)}
    return numbers


def _insert_copies(
    site: Site,
    connection: Connection,
    here: MailboxRow,
    there: MailboxRow,
    messages: Sequence[Sequence[Any]],
    links: dict[int, Path],
    shared: dict[int, int],
) -> list[tuple[int, int]]:
    reading = Numbering(connection, site.library, here.id, site.limits)
    writing = reading if here.id == there.id else Numbering(connection, site.library, there.id, site.limits)
    sets: dict[int, tuple[int, int]] = {}
    for number in {each[1] for each in messages}:
        mask = writing.mask_of(reading.flags(number))  # the target numbers keywords its own way
        sets[number] = mask, writing.number_of(mask)
    rows = [
        NewRow(
            uid=None,
            modseq=None,
            mask=sets[each[1]][0],
            flagset=sets[each[1]][1],
            size=each[2],
            internaldate=each[4],
            zone=each[5],
            saved_at=saved_at(links[each[0]].name),
            name=links[each[0]].name,
            uidl=None,
            shared=shared.get(each[0]),
        )
        for each in messages
    ]
    numbers = insert_messages(site, connection, there, rows)
    pairs = [(each[0], uid) for (uid, _), each in zip(numbers, messages, strict=True)]
    renderings.copy(connection, here.id, there.id, pairs)
    return numbers
