"""COPY and MOVE: a hard link under a new name, a row with the same rendering (RFC 3501 6.4.7, RFC 6851)."""

import contextlib
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
from mailplat.store.append import NewRow, insert_messages
from mailplat.store.expunge import REMOVED, remove_messages
from mailplat.store.fetch import select_messages
from mailplat.store.flagsets import Numbering
from mailplat.store.index.tables import rendering_id
from mailplat.store.maildir import find_file, first_name, folder_of, new_unique, parse_name, saved_at
from mailplat.store.names import canonical
from mailplat.store.quota import add_usage, admit
from mailplat.store.site import MailboxRow, Site, Work
from mailplat.store.staging import discard
from mailplat.store.types import CopyResult, UidRanges

_COLUMNS = REMOVED + ", m.internaldate, m.zone"
_COPY_RENDERING = (
    "INSERT INTO rendering (id, header_size, sent, sent_day, subject, sender, recipient, cc, bcc, message_id,"
    " envelope, body, bodystructure) SELECT ?, header_size, sent, sent_day, subject, sender, recipient, cc, bcc,"
    " message_id, envelope, body, bodystructure FROM rendering WHERE id = ?"
)


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
    links = _link_all(site, source, target, found, move=move)

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
        numbers = _insert_copies(site, connection, here, there, present, links)
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
) -> dict[int, Path]:
    """UID -> the new file. One that is gone is left out. Step: copy.link."""
    here, there = site.mailbox_folder(source), site.mailbox_folder(target)
    links: dict[int, Path] = {}
    try:
        for each in messages:
            key = parse_name(each[3]).key if move else ""  # a copy was not delivered
            path = there / "new" / first_name(new_unique(), each[2], each[5], key=key)
            if _link(here, each[3], path):
                links[each[0]] = path
                disk.step("copy.link")
    except BaseException:
        discard(links.values())
        raise
    return links


def _link(folder: Path, name: str, target: Path) -> bool:
    """False when the message has no file any more: it was expunged."""
    with disk.failures(target):
        with contextlib.suppress(FileNotFoundError):
            os.link(folder / folder_of(name) / name, target, follow_symlinks=False)
            return True
        if not target.parent.is_dir():
            raise NotFound(f"{target.parent}: the mailbox was deleted meanwhile")
        found = find_file(folder, name.partition(",")[0])  # renamed between the row and us
        if found is not None:
            with contextlib.suppress(FileNotFoundError):
                os.link(folder / folder_of(found) / found, target, follow_symlinks=False)
                return True
    return False


def _insert_copies(
    site: Site,
    connection: Connection,
    here: MailboxRow,
    there: MailboxRow,
    messages: Sequence[Sequence[Any]],
    links: dict[int, Path],
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
        )
        for each in messages
    ]
    numbers = insert_messages(site, connection, there, rows)
    pairs = zip(numbers, messages, strict=True)
    connection.exec_driver_sql(
        _COPY_RENDERING,
        [(rendering_id(there.id, uid), rendering_id(here.id, each[0])) for (uid, _), each in pairs],
    )
    return numbers
