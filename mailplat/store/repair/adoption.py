"""Files of one mailbox to rows: which UID each has, which are one message twice, what their names must become."""

import filecmp
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.hint import MailboxChanged
from mailplat.store.append import NewRow, insert_messages
from mailplat.store.flagsets import SYSTEM_BITS, Numbering
from mailplat.store.maildir import first_name, folder_of, new_unique, resize_name, saved_at
from mailplat.store.quota import add_usage
from mailplat.store.repair.survey import File
from mailplat.store.site import MailboxRow, Site
from mailplat.store.staging import columns, render_file
from mailplat.store.types import MAX_UID


@dataclass(frozen=True, slots=True)
class Adopted:
    uid: int
    file: File
    fresh: bool  # had no UID of its own, or one that another file has


@dataclass(frozen=True, slots=True)
class Plan:
    messages: list[Adopted]  # by UID
    twins: list[Path]  # second files of one message, octet for octet the same: to be removed


def plan(folder: Path, files: Sequence[File], ceiling: int) -> Plan:
    """Every message that says its UID keeps it. Of two that say the same the elder keeps it; the other is
    removed if it is the same message, else it gets a new UID. New UIDs begin at `ceiling`, above every UID that
    was ever handed out, in the order in which the messages came."""
    taken: dict[int, File] = {}
    uniques: dict[str, File] = {}
    fresh: list[File] = []
    twins: list[Path] = []
    for file in sorted(files, key=_age):
        uid = file.said.uid if file.said.uid <= MAX_UID else 0
        rival = taken.get(uid) if uid else uniques.get(file.said.unique)
        if rival is not None and _is_twin(folder, rival, file):
            twins.append(folder / file.place / file.name)
            continue
        uniques.setdefault(file.said.unique, file)
        if uid and rival is None:
            taken[uid] = file
        else:
            fresh.append(file)
    next_uid = max(ceiling, max(taken, default=0) + 1)
    messages = [Adopted(uid, file, False) for uid, file in sorted(taken.items())]
    messages += [Adopted(next_uid + number, file, True) for number, file in enumerate(fresh)]
    return Plan(messages, twins)


def put_in_place(folder: Path, file: File) -> File:
    """The file under a name that a row can speak of: in the folder that belongs to the name, with its true size.
    Raises DiskFull, Unavailable."""
    name = file.name if file.said.size in (-1, file.size) else resize_name(file.name, file.size)
    place = folder_of(name)
    if (place, name) == (file.place, file.name):
        return file
    source, target = folder / file.place / file.name, folder / place / name
    with disk.failures(source):
        (folder / place).mkdir(exist_ok=True, mode=0o700)
        if os.path.lexists(target):  # one name in both folders
            name = first_name(new_unique(), file.size, file.said.zone, file.said.uidl)
            place, target = "new", folder / "new" / name
        disk.rename(source, target, "rebuild.rename")
    return replace(file, name=name, place=place)


def adopt(site: Site, row: MailboxRow, folder: Path, file: File) -> None:
    """Give one file a row, under the UID that it says or a new one. Raises AlreadyExists when the UID is or was in
    use, NotFound, DiskFull, Unavailable."""
    file = put_in_place(folder, file)
    rendering = columns(render_file(folder / file.place / file.name))

    def apply(connection: Connection) -> None:
        mailbox = site.mailbox_by_id(connection, row.account_id, row.id)
        numbering = Numbering(connection, site.library, row.id, site.limits)
        mask = file.said.mask & (1 << SYSTEM_BITS + len(numbering.keywords())) - 1
        new = NewRow(
            uid=file.said.uid or None,
            modseq=None,
            mask=mask,
            flagset=numbering.number_of(mask),
            size=file.size,
            internaldate=file.mtime,
            zone=file.said.zone,
            saved_at=saved_at(file.said.unique) or file.mtime,
            name=file.name,
            uidl=file.said.uidl or None,
            columns=rendering,
        )
        insert_messages(site, connection, mailbox, [new])
        add_usage(connection, row.account_id, file.size, 1)

    site.write(apply, MailboxChanged(row.account_id, row.id))


def _age(file: File) -> tuple[int, int, str]:
    return saved_at(file.said.unique) or file.mtime, file.mtime, file.name


def _is_twin(folder: Path, one: File, other: File) -> bool:
    if one.inode == other.inode:
        return True
    return one.size == other.size and filecmp.cmp(
        folder / one.place / one.name, folder / other.place / other.name, shallow=False
    )
