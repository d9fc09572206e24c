"""Files of one mailbox to rows: which UID each has, which are one message twice, what their names must become."""

import filecmp
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import LimitReached
from mailplat.core.hint import MailboxChanged
from mailplat.store.append import NewRow, insert_messages
from mailplat.store.deliveries import remember
from mailplat.store.flagsets import SYSTEM_BITS, Numbering
from mailplat.store.index import renderings
from mailplat.store.index.renderings import columns
from mailplat.store.maildir import first_name, folder_of, new_unique, resize_name, saved_at
from mailplat.store.quota import add_usage
from mailplat.store.rendering import render_file
from mailplat.store.repair.foreign import finish, is_foreign, take
from mailplat.store.repair.survey import File
from mailplat.store.site import MailboxRow, Site
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


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the UIDs of one mailbox, whatever names of files say: names can be copied and moved by hand,
    and no UID that a client has seen may come to name another message."""

    uids: Mapping[str, int]  # unique part of a file's name -> its UID in the index
    spent: Collection[int]  # in the index, or expunged
    current: bool  # the index is as new as the files
    floor: int  # every UID below that is not in `uids` is spent
    ceiling: int  # no UID from here on was ever given

    def has(self, file: File) -> bool:
        return file.said.unique in self.uids

    def uid_of(self, file: File) -> int:
        """0 where the file has none that it may keep."""
        uid = self.uids.get(file.said.unique)
        if uid is not None:
            return uid
        uid = file.said.uid
        return 0 if uid in self.spent or not self.floor <= uid < self.ceiling else uid


def plan(folder: Path, files: Sequence[File], known: Known, first: int) -> Plan:
    """Every message keeps its UID. Of two files that have the same the elder keeps it; the other is removed if it
    is the same message, else it gets a new UID. New UIDs begin at `first`, above every UID that was ever handed out,
    in the order in which the messages came."""
    taken: dict[int, File] = {}
    uniques: dict[str, File] = {}
    inodes = {file.inode for file in files if not is_foreign(file) and (not known.current or known.has(file))}
    fresh: list[File] = []
    twins: list[Path] = []
    for file in sorted(files, key=age):
        uid = known.uid_of(file)
        rival = taken.get(uid) if uid else uniques.get(file.said.unique)
        # a copy that nobody was told of, or a file that was being adopted when that was cut short
        second = file.inode in inodes and (is_foreign(file) or (known.current and not known.has(file)))
        if second or (rival is not None and _is_twin(folder, rival, file)):
            twins.append(folder / file.place / file.name)
            continue
        uniques.setdefault(file.said.unique, file)
        if uid and rival is None:
            taken[uid] = file
        else:
            fresh.append(file)
    next_uid = max(first, max(taken, default=0) + 1)
    messages = [Adopted(uid, file, False) for uid, file in sorted(taken.items())]
    messages += [Adopted(next_uid + number, file, True) for number, file in enumerate(fresh)]
    if messages and messages[-1].uid > MAX_UID:
        raise LimitReached(f"{folder}: no UID is left for {len(fresh)} messages without one")
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
            name = first_name(new_unique(), file.size, file.said.zone, file.said.uidl, key=file.said.key)
            place, target = "new", folder / "new" / name
        disk.rename(source, target, "rebuild.rename")
    return replace(file, name=name, place=place)


def adopt(site: Site, row: MailboxRow, folder: Path, file: File, *, renumber: bool = False) -> bool:
    """Give one file a row, under the UID that it says or a new one (`renumber`), also while the shard is in use.
    Returns whether its line ends were converted. Raises AlreadyExists when the UID is or was in use, NotFound,
    DiskFull, Unavailable."""
    taken = take(site, folder, file) if is_foreign(file) or renumber else None
    file = put_in_place(folder, file) if taken is None else taken.file
    site.sync_folders([folder / file.place], "foreign.dirsync")
    rendering = columns(render_file(folder / file.place / file.name))

    def apply(connection: Connection) -> None:
        mailbox = site.mailbox_by_id(connection, row.account_id, row.id)
        numbering = Numbering(connection, site.library, row.id, site.limits)
        mask = file.said.mask & (1 << SYSTEM_BITS + len(numbering.keywords())) - 1
        new = NewRow(
            uid=None if renumber else file.said.uid or None,
            modseq=None,
            mask=mask,
            flagset=numbering.number_of(mask),
            size=file.size,
            internaldate=file.mtime,
            zone=file.said.zone,
            saved_at=saved_at(file.said.unique) or file.mtime,
            name=file.name,
            uidl=file.said.uidl or None,
        )
        ((uid, modseq),) = insert_messages(site, connection, mailbox, [new])
        renderings.insert(connection, row.id, [(uid, rendering)])
        if file.said.key:
            remember(
                site, connection, row.account_id, row.id, [(file.said.key, uid, modseq, int(new.saved_at))]
            )
        add_usage(connection, row.account_id, file.size, 1)

    site.write(apply, MailboxChanged(row.account_id, row.id))
    if taken is not None:
        finish(site, row.account_id, row.id, taken)
    return taken is not None and taken.converted


def age(file: File) -> tuple[int, int, str]:
    """To sort by: when it came into the store, as its name says."""
    return saved_at(file.said.unique) or file.mtime, file.mtime, file.name


def _is_twin(folder: Path, one: File, other: File) -> bool:
    if one.inode == other.inode:
        return True
    return one.size == other.size and filecmp.cmp(
        folder / one.place / one.name, folder / other.place / other.name, shallow=False
    )
