"""The audit log: what admins did. Lines are added, never changed or removed; there is no verb for either.

Who does something that must be audited records it first: where the line cannot be written the deed is not done. A
line says what was about to be done, so; what came of it is a line of its own where that matters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock, SystemClock
from mailplat.db.engine import Database
from mailplat.directory import tables


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    at: float  # Unix time
    who: str
    action: str
    subject: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


# Action, subject, before, after.
Line = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]


def write(connection: Connection, at: float, who: str, lines: Sequence[Line]) -> None:
    """In the transaction of what they tell of: both are kept or neither. No secrets, as in `Audit.record`."""
    rows = [
        {
            "at": at,
            "who": who,
            "action": action,
            "subject": subject,
            "before": json.dumps(before, ensure_ascii=False, default=str),
            "after": json.dumps(after, ensure_ascii=False, default=str),
        }
        for action, subject, before, after in lines
    ]
    if rows:
        connection.execute(tables.audit.insert(), rows)


class Audit:
    """For threads. Raises Unavailable when the database cannot answer."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock: Clock = clock or SystemClock()

    def record(
        self,
        who: str,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Durable when this returns. No secrets and no mail: whoever may read the log may read this."""
        with self._database.write() as connection:
            write(connection, self._clock.now(), who, [(action, subject, before or {}, after or {})])

    def entries(
        self,
        *,
        subject: str = "",
        action: str = "",
        who: str = "",
        since: float | None = None,
        until: float | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        """The newest `limit` of those that match, the oldest of them first. `action` is a whole one or a room
        ("vault"); `since` is inclusive, `until` is not."""
        audit = tables.audit.c
        conditions: list[sa.ColumnElement[bool]] = []
        if subject:
            conditions.append(audit.subject == subject)
        if action:
            conditions.append(
                (audit.action == action) | audit.action.startswith(f"{action}.", autoescape=True)
            )
        if who:
            conditions.append(audit.who == who)
        if since is not None:
            conditions.append(audit.at >= since)
        if until is not None:
            conditions.append(audit.at < until)
        query = sa.select(tables.audit).where(*conditions).order_by(audit.id.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        return [
            Entry(number, at, by, done, to, json.loads(before), json.loads(after))
            for number, at, by, done, to, before, after in reversed(rows)
        ]
