"""Which shards the platform has made: a directory that is empty now and held mail once is not taken for a new one.

A name keeps its identity until an admin decides otherwise (`mailplat shard adopt`). Under the name "" is the
platform's own identity: two platforms must never write one shard.
"""

import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database
from mailplat.directory import tables

_PLATFORM = ""


class ShardRegister:
    """For threads. Raises Unavailable when the database cannot answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expected(self, name: str) -> tuple[str, str]:
        """(the platform's identity, the shard's); "" for a shard that was never made."""
        with self._database.read() as connection:
            platform, shard = _find(connection, _PLATFORM), _find(connection, name)
        return platform or self._make_platform(), shard

    def _make_platform(self) -> str:
        with self._database.write() as connection:
            found = _find(connection, _PLATFORM)
            if not found:
                found = secrets.token_hex(16)
                connection.execute(tables.shard.insert().values(name=_PLATFORM, identity=found))
        return found

    def register(self, name: str, identity: str) -> None:
        """A shard that was just made. Raises Unavailable where the name has another one."""
        with self._database.write() as connection:
            found = _find(connection, name)
            if not found:
                connection.execute(tables.shard.insert().values(name=name, identity=identity))
        if found and found != identity:
            raise Unavailable(f"shard {name}: {identity} was opened, but the platform knows it as {found}")

    def replace(self, name: str, identity: str) -> None:
        """What an admin decided; "" forgets the shard."""
        with self._database.write() as connection:
            connection.execute(sa.delete(tables.shard).where(tables.shard.c.name == name))
            if identity:
                connection.execute(tables.shard.insert().values(name=name, identity=identity))


def _find(connection: Connection, name: str) -> str:
    query = sa.select(tables.shard.c.identity).where(tables.shard.c.name == name)
    return connection.execute(query).scalar() or ""
