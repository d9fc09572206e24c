"""Whose vault it is: the address of an account that is gone, and its legal hold. A row of `vault_owner`, and beside
the files mailplat-vault.json, which says the same and outlives the index and the account."""

import json
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import AlreadyExists, InvalidInput, NotFound
from mailplat.store.maildir import spread
from mailplat.store.site import Site

OWNER_FILE = "mailplat-vault.json"
ROOT = "vault"

FORMAT = 1

# A reason is shown in one line of a table, and kept in a small file.
LONGEST_REASON = 500

COLUMNS = "account_id, address, removed_at, held_at, hold_reason, hold_by"


@dataclass(frozen=True, slots=True)
class Owner:
    account_id: int
    address: str = ""
    removed_at: int | None = None  # Unix seconds
    held_at: int | None = None
    hold_reason: str = ""
    hold_by: str = ""


def vault_path(account_id: int) -> Path:
    """Relative to the shard."""
    return Path(ROOT) / spread(account_id) / str(account_id)


def is_held(connection: Connection, account_id: int) -> bool:
    found = connection.exec_driver_sql(
        "SELECT 1 FROM vault_owner WHERE account_id = ? AND held_at IS NOT NULL", (account_id,)
    )
    return found.fetchone() is not None


def owners(site: Site) -> list[Owner]:
    """All that are held or gone."""
    with site.read() as connection:
        found = connection.exec_driver_sql(f"SELECT {COLUMNS} FROM vault_owner ORDER BY account_id")
        return [Owner(*row) for row in found.fetchall()]


def hold(site: Site, account_id: int, *, address: str, reason: str, by: str) -> None:
    """From now on nothing of this account is removed, whatever its days. It need not have anything here yet.
    Raises AlreadyExists, InvalidInput for a reason that is empty or too long."""
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise InvalidInput(f"a hold needs a reason of 1 to {LONGEST_REASON} characters")

    def apply(connection: Connection) -> None:
        owner = find_owner(connection, account_id)
        if owner.held_at is not None:
            raise AlreadyExists(f"{address} is held already: {owner.hold_reason}")
        now = int(site.clock.now())
        write_owner(site, connection, Owner(account_id, address, owner.removed_at, now, reason.strip(), by))

    site.write(apply, alone=True)


def release(site: Site, account_id: int) -> Owner:
    """Its days count again, from when each message came here: what is older goes soon. Returns what was held.
    Raises NotFound when it was not."""

    def apply(connection: Connection) -> Owner:
        owner = find_owner(connection, account_id)
        if owner.held_at is None:
            raise NotFound(f"shard {site.name}: account {account_id} is not held")
        write_owner(site, connection, Owner(account_id, owner.address, owner.removed_at))
        return owner

    return site.write(apply, alone=True)


def note_gone(site: Site, account_id: int, address: str) -> None:
    """As `note_removed`, where there is anything of the account and it is not noted yet: an account may have lived
    here before it moved, and what it has left here must still be found by its address."""

    def apply(connection: Connection) -> None:
        owner = find_owner(connection, account_id)
        kept = connection.exec_driver_sql(
            "SELECT 1 FROM vault WHERE account_id = ? LIMIT 1", (account_id,)
        ).fetchone()
        if owner.removed_at is None and (kept is not None or owner.held_at is not None):
            note_removed(site, connection, account_id, address)

    site.write(apply, alone=True)


def owner_of(site: Site, account_id: int) -> Owner:
    with site.read() as connection:
        return find_owner(connection, account_id)


def keep_hold(site: Site, held: Owner) -> None:
    """A hold that was laid on the account in another shard, which it leaves. One that is here already stays."""

    def apply(connection: Connection) -> None:
        known = find_owner(connection, held.account_id)
        if known.held_at is None:
            write_owner(
                site,
                connection,
                Owner(
                    held.account_id,
                    held.address,
                    known.removed_at,
                    held.held_at,
                    held.hold_reason,
                    held.hold_by,
                ),
            )

    site.write(apply, alone=True)


def note_removed(site: Site, connection: Connection, account_id: int, address: str) -> None:
    """The directory will not know the address any more."""
    owner = find_owner(connection, account_id)
    now = int(site.clock.now())
    write_owner(
        site,
        connection,
        Owner(account_id, address or owner.address, now, owner.held_at, owner.hold_reason, owner.hold_by),
    )


def find_owner(connection: Connection, account_id: int) -> Owner:
    row = connection.exec_driver_sql(
        f"SELECT {COLUMNS} FROM vault_owner WHERE account_id = ?", (account_id,)
    ).fetchone()
    return Owner(account_id) if row is None else Owner(*row)


def write_owner(site: Site, connection: Connection, owner: Owner) -> None:
    """The file first: should the commit fail, a hold too many is the lesser evil."""
    folder = make_folder(site, vault_path(owner.account_id))
    content = {
        "format": FORMAT,
        "account_id": owner.account_id,
        "address": owner.address,
        "removed_at": owner.removed_at,
        "hold": None
        if owner.held_at is None
        else {"at": owner.held_at, "reason": owner.hold_reason, "by": owner.hold_by},
    }
    octets = json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"
    disk.write_file(folder / OWNER_FILE, octets, "owner")
    insert_owner(connection, owner)


def insert_owner(connection: Connection, owner: Owner) -> None:
    connection.exec_driver_sql(
        f"INSERT OR REPLACE INTO vault_owner ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        (
            owner.account_id,
            owner.address,
            owner.removed_at,
            owner.held_at,
            owner.hold_reason,
            owner.hold_by,
        ),
    )


def read_owner(folder: Path, account_id: int) -> Owner | None:
    """None where there is no such file. One that cannot be understood counts as a hold: nothing of this account is
    removed until somebody has looked."""
    try:
        content = json.loads((folder / OWNER_FILE).read_bytes())
        held = content["hold"]
        return Owner(
            account_id,
            str(content["address"]),
            None if content["removed_at"] is None else int(content["removed_at"]),
            None if held is None else int(held["at"]),
            "" if held is None else str(held["reason"]),
            "" if held is None else str(held["by"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError):
        return Owner(account_id, held_at=1, hold_reason=f"{OWNER_FILE} cannot be read", hold_by="mailplat")


def make_folder(site: Site, path: Path) -> Path:
    """A folder of the vault, relative to the shard; durable when this returns."""
    folder = site.path / path
    if not folder.is_dir():
        with disk.failures(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            above = [site.path / parent for parent in reversed(path.parents)]
            for each in above:
                disk.fsync_directory(each, "vault.mkdir")
    return folder
