"""What happened to a move that its row counts nowhere: the source asked us to wait, mail was held."""

import json
from typing import Any

import sqlalchemy as sa

from mailplat.db.engine import Database
from migration.certificate import tables

THROTTLED, HELD = "throttled", "held"

# Of one account; the eldest go. A source that throttles for weeks fills no database.
MOST_KEPT = 1000


def note(database: Database, account_id: int, at: float, kind: str, **detail: Any) -> None:
    """Synchronous, as all of the ledger."""
    mine = tables.event.c.account_id == account_id
    with database.write() as connection:
        connection.execute(
            tables.event.insert().values(
                account_id=account_id, at=at, kind=kind, detail=json.dumps(detail, default=str)
            )
        )
        newest = sa.select(tables.event.c.id).where(mine).order_by(tables.event.c.id.desc()).limit(MOST_KEPT)
        connection.execute(tables.event.delete().where(mine, tables.event.c.id.not_in(newest)))


def of(database: Database, account_id: int) -> list[tuple[float, str, dict[str, Any]]]:
    """(Unix time, kind, detail), the eldest first."""
    column = tables.event.c
    query = sa.select(column.at, column.kind, column.detail).where(column.account_id == account_id)
    with database.read() as connection:
        rows = connection.execute(query.order_by(column.id)).fetchall()
    return [(at, kind, json.loads(detail)) for at, kind, detail in rows]
