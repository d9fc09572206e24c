"""What a legacy directory said the last time, so that only what has changed there since is taken again."""

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database
from mailplat.directory import tables as platform

# How the reason begins why the move of an account that has vanished there is halted (gone.py). It is lifted when the
# account is named again (accounts.py).
GONE = "gone in the directory of the legacy platform"


class Digester:
    """Of password hashes, under a key of the platform: who reads the digests alone learns nothing of passwords."""

    def __init__(self, database: Database) -> None:
        query = sa.select(platform.secret.c.octets).where(platform.secret.c.name == "directory-digest")
        with database.read() as connection:
            key: bytes | None = connection.execute(query).scalar_one_or_none()
        if key is None:
            raise Unavailable(
                "table secret has no row directory-digest, which revision 0017 made; restore it"
            )
        self._key = key

    def of(self, password_hash: str | None) -> str | None:
        if password_hash is None:
            return None
        return hashlib.blake2b(password_hash.encode(), key=self._key, digest_size=32).hexdigest()


def of_targets(targets: Sequence[Address]) -> str:
    """Of an alias's, in any order and any case of letters."""
    return hashlib.sha256(json.dumps(sorted(each.key for each in targets)).encode()).hexdigest()


def put(connection: Connection, table: sa.Table, rows: Sequence[dict[str, object]]) -> None:
    """In the place of rows with the same primary key, which is one column."""
    if rows:
        [key] = table.primary_key.columns
        names = [row[key.name] for row in rows]
        connection.execute(table.delete().where(key.in_(names)))
        connection.execute(table.insert(), list(rows))
