"""The two small files that say what the names of message files cannot: enough to make the index again.

mailplat-mailbox.json in each mailbox   id, name, UIDVALIDITY, special use, keywords, annotations, rights of others,
                                        MAILBOXID where it came with one from another shard, two ceilings:
                                        no UID at or above `uidnext`, no MODSEQ above `modseq` was ever handed out
mailplat-account.json in the account    epoch, last UIDVALIDITY, subscriptions, annotations, its pool (domain)

Ceilings are raised here, in blocks and durably, before the transaction commits that would pass them. All else
may lag behind the index for as long as the namer takes (about 2 s). Both are written only under the index's
write lock, so that two processes never write one file at the same time.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.rights import ALL
from mailplat.store.maildir import ACCOUNT_FILE, FOLDERS, MAILBOX_FILE, MARKER
from mailplat.store.site import MailboxRow, Site
from mailplat.store.types import MAX_MODSEQ, MAX_UID, Entry

FORMAT = 1

# UIDs and MODSEQs reserved at once. A rebuild from files skips at most so many; a file is written once for so
# many appends.
UID_BLOCK = 1000
MODSEQ_BLOCK = 10_000

_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True, slots=True)
class MailboxDescription:
    id: int
    name: str
    special_use: str
    uidvalidity: int
    uidnext: int  # ceiling
    modseq: int  # ceiling
    keywords: tuple[str, ...]
    annotations: Mapping[str, bytes]
    acl: Mapping[str, Entry]
    object_id: str | None  # MAILBOXID where another shard gave it


@dataclass(frozen=True, slots=True)
class AccountDescription:
    account_id: int
    epoch: int
    uidvalidity: int
    subscriptions: tuple[str, ...]
    pool: str
    annotations: Mapping[str, bytes]


def uid_ceiling(uidnext: int) -> int:
    return min(uidnext + UID_BLOCK, MAX_UID + 1)


def modseq_ceiling(modseq: int) -> int:
    return min(modseq + MODSEQ_BLOCK, MAX_MODSEQ)


def write_mailbox(site: Site, connection: Connection, row: MailboxRow) -> None:
    """Bring a mailbox's file up to date with `row` and its keywords. Raises DiskFull, Unavailable."""
    keywords = connection.exec_driver_sql(
        "SELECT name FROM keyword WHERE mailbox_id = ? ORDER BY number", (row.id,)
    )
    content = {
        "format": FORMAT,
        "id": row.id,
        "name": row.name,
        "special_use": row.special_use,
        "uidvalidity": row.uidvalidity,
        "uidnext": row.uid_ceiling,
        "modseq": row.modseq_ceiling,
        "keywords": [name for (name,) in keywords],
        "annotations": _annotations(connection, row.account_id, row.id),
        "acl": _acl(connection, row),
    } | ({"object_id": row.object_id} if row.object_id else {})
    disk.write_file(site.mailbox_folder(row) / MAILBOX_FILE, _encode(content), "mailbox")
    connection.exec_driver_sql("UPDATE mailbox SET described = 1 WHERE id = ?", (row.id,))


def write_account(site: Site, connection: Connection, account_id: int) -> None:
    account = connection.exec_driver_sql(
        "SELECT epoch, uidvalidity, pool FROM account WHERE account_id = ?", (account_id,)
    ).one()
    subscriptions = connection.exec_driver_sql(
        "SELECT name FROM subscription WHERE account_id = ? ORDER BY name", (account_id,)
    )
    content = {
        "format": FORMAT,
        "account_id": account_id,
        "epoch": account[0],
        "uidvalidity": account[1],
        "pool": account[2],
        "subscriptions": [name for (name,) in subscriptions],
        "annotations": _annotations(connection, account_id, 0),
    }
    disk.write_file(site.account_folder(account_id) / ACCOUNT_FILE, _encode(content), "account")
    connection.exec_driver_sql("UPDATE account SET described = 1 WHERE account_id = ?", (account_id,))


def make_mailbox_folder(site: Site, row: MailboxRow) -> None:
    """The Maildir of a new mailbox, durable but for the entry in the account's folder; a leftover of a creation
    that crashed is taken over."""
    folder = site.mailbox_folder(row)
    with disk.failures(folder):
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.name.startswith("."):
            (folder / MARKER).touch(mode=0o600)
        disk.step("create.mkdir")


def read_mailbox(folder: Path) -> MailboxDescription | None:
    """None where there is no such file or it cannot be understood: a rebuild then starts a new UIDVALIDITY."""
    content = _read(folder / MAILBOX_FILE)
    try:
        return MailboxDescription(
            id=int(content["id"]),
            name=str(content["name"]),
            special_use=str(content["special_use"]),
            uidvalidity=int(content["uidvalidity"]),
            uidnext=int(content["uidnext"]),
            modseq=int(content["modseq"]),
            keywords=tuple(map(str, content["keywords"])),
            annotations=_values(content),
            acl=_entries(content),
            object_id=_object_id(content.get("object_id")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_account(folder: Path) -> AccountDescription | None:
    content = _read(folder / ACCOUNT_FILE)
    try:
        return AccountDescription(
            account_id=int(content["account_id"]),
            epoch=int(content["epoch"]),
            uidvalidity=int(content["uidvalidity"]),
            subscriptions=tuple(map(str, content["subscriptions"])),
            pool=str(content.get("pool", "")),  # absent in files of before
            annotations=_values(content),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _annotations(connection: Connection, account_id: int, mailbox_id: int) -> dict[str, str]:
    """Values in base64: they may be any octets."""
    found = connection.exec_driver_sql(
        "SELECT name, value FROM annotation WHERE mailbox_id = ? AND account_id = ? ORDER BY name",
        (mailbox_id, account_id),
    )
    return {name: base64.b64encode(value).decode("ascii") for name, value in found}


def _values(content: Mapping[str, Any]) -> dict[str, bytes]:
    """Raises ValueError, TypeError. Absent in files of before."""
    return {
        str(name): base64.b64decode(value, validate=True)
        for name, value in dict(content.get("annotations", {})).items()
    }


def _acl(connection: Connection, row: MailboxRow) -> dict[str, list[Any]]:
    found = connection.exec_driver_sql(
        "SELECT identifier, grantee_id, rights FROM acl WHERE mailbox_id = ? AND account_id = ?"
        " ORDER BY identifier",
        (row.id, row.account_id),
    )
    return {identifier: [number, letters] for identifier, number, letters in found}


def _entries(content: Mapping[str, Any]) -> dict[str, Entry]:
    """Raises ValueError, TypeError. Absent in files of before. What somebody wrote there that is no right is none."""
    return {
        str(identifier): Entry(int(number), rights)
        for identifier, (number, letters) in dict(content.get("acl", {})).items()
        if (rights := ALL.intersection(str(letters)))
    }


def _object_id(said: Any) -> str | None:
    """RFC 8474 7, objectid; a file that was written to by hand must not end up in a reply."""
    return said if isinstance(said, str) and _OBJECT_ID.fullmatch(said) else None


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
