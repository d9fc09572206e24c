"""What was found beside an account's mail, as it was brought last: one row a kind, JSON. Functions for the
transaction of somebody else."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.db.engine import Database
from migration.tables import metadata

SCRIPTS, RIGHTS, ANSWERS = "scripts", "rights", "answers"
# What did not go back, inside the fence of a way back.
GIVEN = "given"

table = sa.Table(
    "migration_beside",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # Unix time
    sa.Column("content", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Left:
    """What is not here as it is there."""

    what: str
    why: str


@dataclass(slots=True)
class Kept:
    """`things` is what is here since, by name; what its values are says the module that brings them."""

    source: str = ""  # "managesieve", "mount", "imap"
    unread: str = ""  # why it could not be read the last time; `things` are then those of the time before
    things: dict[str, Any] = field(default_factory=dict)
    active: str = ""  # of scripts
    left: list[Left] = field(default_factory=list)

    @classmethod
    def from_json(cls, text: str) -> "Kept":
        values = json.loads(text)
        return cls(**{**values, "left": [Left(**each) for each in values["left"]]})

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def put(connection: Connection, account_id: int, kind: str, at: float, content: Kept) -> None:
    drop(connection, account_id, kind)
    connection.execute(
        table.insert().values(account_id=account_id, kind=kind, at=at, content=content.to_json())
    )


def drop(connection: Connection, account_id: int, kind: str) -> None:
    connection.execute(table.delete().where(table.c.account_id == account_id, table.c.kind == kind))


def forget(connection: Connection, account_id: int) -> None:
    connection.execute(table.delete().where(table.c.account_id == account_id))


def unread(connection: Connection, account_id: int, kind: str, at: float, source: str, why: str) -> None:
    """It could not be read: what is known of it stays."""
    known = read(connection, account_id).get(kind, Kept(source))
    known.unread = why[:500]
    put(connection, account_id, kind, at, known)


def read(connection: Connection, account_id: int) -> dict[str, Kept]:
    """By kind."""
    query = sa.select(table.c.kind, table.c.content).where(table.c.account_id == account_id)
    return {kind: Kept.from_json(content) for kind, content in connection.execute(query)}


def of(database: Database, account_id: int) -> dict[str, Kept]:
    with database.read() as connection:
        return read(connection, account_id)
