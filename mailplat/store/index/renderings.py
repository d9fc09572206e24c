"""Rows of `rendering` and `unrendered`: every message has exactly one of the two, from the commit that makes it to
the one that takes it away. All statements that write them are here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from mailplat.db.driver import change, fetch_all
from mailplat.store.index.tables import rendering_id
from mailplat.store.types import MAX_UID
from mailplat.wire.mime import Rendering

# Columns of `rendering` behind its id.
NAMES = (
    "header_size", "sent", "sent_day", "subject", "sender", "recipient", "cc", "bcc", "message_id", "envelope",
    "body", "bodystructure", "preview", "email_id",
)  # fmt: skip
Columns = tuple[Any, ...]  # values of these

# By UID, of messages whose renderings were made and could not be kept; some 4 KB each.
Spare = Mapping[int, Columns]
NO_SPARE: Spare = {}

_NAMES = ", ".join(NAMES)
_INSERT = f"INSERT INTO rendering (id, {_NAMES}) VALUES ({', '.join('?' * (1 + len(NAMES)))})"
_INSERT_LATER = "INSERT INTO unrendered (id) VALUES (?)"
_DELETE_LATER = "DELETE FROM unrendered WHERE id = ?"
_COPY = f"INSERT INTO rendering (id, {_NAMES}) SELECT ?, {_NAMES} FROM rendering WHERE id = ?"
_COPY_LATER = "INSERT INTO unrendered (id) SELECT ? WHERE EXISTS (SELECT 1 FROM unrendered WHERE id = ?)"
_LATER = "SELECT id FROM unrendered WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
_IS_LATER = "SELECT 1 FROM unrendered WHERE id = ?"

# SQLite's word for no limit.
_ALL = -1


def columns(rendering: Rendering) -> Columns:
    return (
        rendering.header_size,
        rendering.sent,
        rendering.sent_day,
        rendering.subject,
        rendering.from_,
        rendering.to,
        rendering.cc,
        rendering.bcc,
        rendering.message_id,
        rendering.envelope,
        rendering.body,
        rendering.bodystructure,
        rendering.preview,
        rendering.email_id,
    )


def insert(connection: Connection, mailbox_id: int, rows: Iterable[tuple[int, Columns]]) -> None:
    """Of new messages: (UID, columns), columns empty where they are made later."""
    made: list[Columns] = []
    later: list[tuple[int]] = []
    for uid, values in rows:
        if values:
            made.append((rendering_id(mailbox_id, uid), *values))
        else:
            later.append((rendering_id(mailbox_id, uid),))
    if made:
        change(connection, _INSERT, *made)
    if later:
        change(connection, _INSERT_LATER, *later)


def keep(connection: Connection, mailbox_id: int, made: Mapping[int, Columns]) -> None:
    """What was made of messages that had none. One that was expunged meanwhile, or that somebody else was faster
    with, is not in `unrendered` any more."""
    waiting = {
        uid: values
        for uid, values in made.items()
        if fetch_all(connection, _IS_LATER, (rendering_id(mailbox_id, uid),))
    }
    if waiting:
        change(connection, _DELETE_LATER, *((rendering_id(mailbox_id, uid),) for uid in waiting))
        insert(connection, mailbox_id, waiting.items())


def copy(connection: Connection, here: int, there: int, uids: Sequence[tuple[int, int]]) -> None:
    """Of copies, in a mailbox `there`, of messages `here`: pairs (UID here, UID there)."""
    pairs = [(rendering_id(there, new), rendering_id(here, old)) for old, new in uids]
    change(connection, _COPY, *pairs)
    if later(connection, here, 1, MAX_UID, 1):
        change(connection, _COPY_LATER, *pairs)


def forget(connection: Connection, mailbox_id: int, uids: Iterable[int]) -> None:
    """Of messages that go."""
    ids = [(rendering_id(mailbox_id, uid),) for uid in uids]
    change(connection, "DELETE FROM rendering WHERE id = ?", *ids)
    change(connection, _DELETE_LATER, *ids)


def forget_all(connection: Connection, mailbox_id: int) -> None:
    """Of all messages of a mailbox."""
    for table in ("rendering", "unrendered"):
        connection.exec_driver_sql(
            f"DELETE FROM {table} WHERE id BETWEEN ? AND ?",
            (rendering_id(mailbox_id, 0), rendering_id(mailbox_id, MAX_UID)),
        )


def later(
    connection: Connection, mailbox_id: int, low: int, high: int, limit: int | None = None
) -> list[int]:
    """UIDs, ascending, of messages whose rendering is not made yet."""
    first, last = rendering_id(mailbox_id, low), rendering_id(mailbox_id, high)
    found = fetch_all(connection, _LATER, (first, last, _ALL if limit is None else limit))
    return [number - rendering_id(mailbox_id, 0) for (number,) in found]
