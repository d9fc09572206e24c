"""Files follow their rows into the vault, in batches, behind the commit.

Inside the write transaction that notes it, alone: two processes would number keywords differently. The folder is
fsynced before the commit, since afterwards nobody looks for the file in its old place any more.
"""

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.flagsets import SYSTEM_BITS
from mailplat.store.index.renderings import NAMES, columns
from mailplat.store.maildir import (
    MAILBOX_FILE,
    account_path,
    find_file,
    folder_of,
    full_name,
    mailbox_folder,
    parse_name,
)
from mailplat.store.rendering import render_file
from mailplat.store.site import Site
from mailplat.store.types import SYSTEM_FLAGS
from mailplat.store.vault.entry import ACCOUNT, EXPUNGED, MAILBOX
from mailplat.store.vault.owner import make_folder, vault_path

log = structlog.get_logger(__name__)

FORMAT = 1

# A folder's keywords that file names can say: beyond, a name would grow longer than file systems allow. Rows
# know all of them.
_KEYWORDS = 250

_LETTERS = {EXPUNGED: "e", MAILBOX: "m", ACCOUNT: "a"}
_WORDS = {letter: word for word, letter in _LETTERS.items()}

_WAITING = (
    "SELECT id, account_id, mailbox_id, mailbox, uid, reason, at, flags, file,"
    " sender || recipient || subject || message_id FROM vault WHERE placed = 0"
    " ORDER BY mailbox_id, file LIMIT ?"
)
_SAY = "UPDATE vault SET sender = ?, recipient = ?, subject = ?, message_id = ? WHERE id = ?"
_WAITING_OF = _WAITING.replace("placed = 0", "placed = 0 AND account_id = ?")


class Headings(NamedTuple):
    """What a search in the vault looks at."""

    sender: str = ""
    recipient: str = ""
    subject: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What mailplat-mailbox.json says in a folder of the vault."""

    name: str = ""
    keywords: tuple[str, ...] = ()


def place_waiting(site: Site) -> int:
    """Until no file waits. Returns how many were moved. Raises DiskFull, Unavailable."""
    moved = 0
    while True:
        with site.read() as connection:
            if not connection.exec_driver_sql(_WAITING, (1,)).fetchall():
                return moved
        moved += site.write(lambda connection: _place_some(site, connection), alone=True)


def place_account(site: Site, connection: Connection, account_id: int) -> None:
    """All that waits of one account, in the caller's transaction."""
    while rows := connection.exec_driver_sql(_WAITING_OF, (account_id, site.limits.names)).fetchall():
        _place_rows(site, connection, rows)


def box_path(account_id: int, mailbox_id: int) -> Path:
    """Of the folder in the vault, relative to the shard."""
    return vault_path(account_id) / f"m{mailbox_id}"


def find_in_box(folder: Path, unique: str) -> str | None:
    """The name in a folder of the vault of the file with this unique part. Reads the whole folder."""
    with disk.failures(folder), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.partition(",")[0] == unique:
                return entry.name
    return None


def _place_some(site: Site, connection: Connection) -> int:
    rows = connection.exec_driver_sql(_WAITING, (site.limits.names,)).fetchall()
    return _place_rows(site, connection, rows)


def _place_rows(site: Site, connection: Connection, rows: Sequence[Sequence[object]]) -> int:
    boxes: Mapping[tuple[int, int, str], list[Sequence[object]]] = defaultdict(list)
    for row in rows:
        boxes[row[1], row[2], row[3]].append(row)  # type: ignore[index]
    placed: list[tuple[str, int]] = []
    unread: list[tuple[Path, int]] = []
    for (account_id, mailbox_id, mailbox), some in boxes.items():
        words = dict.fromkeys(
            word for row in some for word in str(row[7]).split() if word not in SYSTEM_FLAGS
        )
        folder = make_folder(site, box_path(account_id, mailbox_id))
        described = describe(folder, mailbox_id, mailbox, words)
        source = site.path / account_path(account_id) / mailbox_folder(mailbox_id, mailbox)
        for number, _, _, _, uid, reason, at, flags, file, said in some:
            mask = mask_of(str(flags), described.keywords)
            named = partial(vault_name, int(str(uid)), mask, int(str(at)), str(reason))
            name = _move(source, str(file), folder, named)
            placed.append((name, int(str(number))))
            if not said:  # it was expunged before it was rendered
                unread.append((folder / name, int(str(number))))
        with disk.failures(folder):
            disk.fsync_directory(folder, "vault.dirsync")
    if placed:
        connection.exec_driver_sql("UPDATE vault SET placed = 1, name = ? WHERE id = ?", placed)
    for path, number in unread:
        connection.exec_driver_sql(_SAY, (*headings(path), number))
    return len(placed)


def headings(path: Path) -> Headings:
    """Of a file in the vault. Of one that is not there, or cannot be read, nothing is known: it is found by its
    mailbox and date only."""
    with contextlib.suppress(FileNotFoundError, Unavailable):
        values = columns(render_file(path))
        return Headings(*(values[NAMES.index(name)] for name in Headings._fields))
    return Headings()


def _move(folder: Path, file: str, box: Path, name_of: Callable[[str], str]) -> str:
    """The name in `box`, made of the one that the file has. Also where an earlier call, or one of the namer, was
    undone half-way."""
    with disk.failures(box):
        for candidate in (file, None):
            found = candidate or find_file(folder, parse_name(file).unique)
            name = name_of(found or file)
            if (box / name).exists():
                return name
            if found is not None:
                try:
                    disk.rename(folder / folder_of(found) / found, box / name, "vault.rename")
                    return name
                except FileNotFoundError:
                    continue
    log.error("file of an expunged message is missing; it cannot be restored", file=str(folder / file))
    return name_of(file)


def describe(folder: Path, mailbox_id: int, name: str, words: Collection[str]) -> Description:
    """The folder's small file with these keywords added, on disk. Numbers that were given stay."""
    known = read_description(folder)
    fresh = [word for word in words if word not in known.keywords]
    wanted = Description(name, (*known.keywords, *fresh)[:_KEYWORDS])
    if wanted != known:
        content = {"format": FORMAT, "id": mailbox_id, "name": name, "keywords": list(wanted.keywords)}
        octets = json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"
        disk.write_file(folder / MAILBOX_FILE, octets, "vaultbox")
    return wanted


def read_description(folder: Path) -> Description:
    """Empty where there is none that can be read."""
    try:
        content = json.loads((folder / MAILBOX_FILE).read_bytes())
        return Description(str(content["name"]), tuple(map(str, content["keywords"])))
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return Description()


def mask_of(flags: str, keywords: Sequence[str]) -> int:
    bits = {name: bit for bit, name in enumerate(SYSTEM_FLAGS)}
    bits |= {name: SYSTEM_BITS + number for number, name in enumerate(keywords)}
    return sum(1 << bits[flag] for flag in set(flags.split()) if flag in bits)


def vault_name(uid: int, mask: int, at: int, reason: str, file: str) -> str:
    """From any name that the file had. The UIDL (P=) is left out: what comes back is a new message."""
    base = ",".join(part for part in file.partition(":")[0].split(",") if not part.startswith(("P=", "X=")))
    return full_name(f"{base},X={at:x}{_LETTERS[reason]}", uid, mask)


def parse_vault_name(name: str) -> tuple[int, str]:
    """(when, why) of a file in the vault; (0, "expunged") where the name does not say."""
    for part in name.partition(":")[0].split(","):
        if part.startswith("X=") and part[-1] in _WORDS:
            try:
                return int(part[2:-1], 16), _WORDS[part[-1]]
            except ValueError:
                break
    return 0, EXPUNGED
