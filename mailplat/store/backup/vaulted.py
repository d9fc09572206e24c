"""What a point has of the vault, with legal holds, brought back with the whole shard: of accounts that the place does
not know, such as all of them on a new machine. Where the place has a vault of the account that one stays as it is:
what was purged there is not brought again.
"""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.store.backup.catalogue import Catalogue
from mailplat.store.backup.manifest import GONE
from mailplat.store.backup.objects import Flush, put_back
from mailplat.store.site import Site
from mailplat.store.types import SYSTEM_FLAGS, Problem
from mailplat.store.vault.finding import Item
from mailplat.store.vault.owner import make_folder, write_owner
from mailplat.store.vault.place import Headings, box_path, describe, headings, mask_of, vault_name

_FIELDS = Item._fields[1:]
_INSERT = f"INSERT INTO vault ({', '.join(_FIELDS)}, placed) VALUES ({', '.join('?' * len(_FIELDS))}, 1)"


def bring_vault(
    site: Site, catalogue: Catalogue, accounts: Iterable[int], flush: Flush, problems: list[Problem]
) -> int:
    """Files and rows into the new shard of `site`. Returns how many messages."""
    brought = 0
    for account_id in accounts:
        with site.database.write() as connection:
            owner = catalogue.owner(account_id)
            if owner is not None:
                write_owner(site, connection, owner)
            kept = catalogue.vaulted(account_id)
            for mailbox_id, items in groupby(kept, lambda pair: pair[0].mailbox_id):
                brought += _box(
                    site, connection, catalogue, account_id, mailbox_id, list(items), flush, problems
                )
    return brought


def _box(
    site: Site,
    connection: Connection,
    catalogue: Catalogue,
    account_id: int,
    mailbox_id: int,
    items: list[tuple[Item, str]],
    flush: Flush,
    problems: list[Problem],
) -> int:
    words = dict.fromkeys(
        word for item, _ in items for word in item.flags.split() if word not in SYSTEM_FLAGS
    )
    folder: Path = make_folder(site, box_path(account_id, mailbox_id))
    described = describe(folder, mailbox_id, items[-1][0].mailbox, words)
    rows = []
    for item, digest in items:
        mask = mask_of(item.flags, described.keywords)
        name = vault_name(item.uid, mask, item.at, item.reason, item.file)
        if digest == GONE:
            continue
        what = f"{item.mailbox}, UID {item.uid}, in the vault of account {account_id}"
        problem = put_back(catalogue.repository, digest, folder / name, item.internaldate, what, flush)
        if problem is None:
            if not any(getattr(item, field) for field in Headings._fields):  # expunged before it was rendered
                item = item._replace(**headings(folder / name)._asdict())
            rows.append(item._replace(name=name)[1:])
        else:
            problems.append(problem)
    if rows:
        connection.exec_driver_sql(_INSERT, rows)
    return len(rows)
