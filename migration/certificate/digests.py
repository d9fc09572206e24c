"""What the source gave of each message: SHA-256 of its octets, INTERNALDATE, size. Taken while it is copied, from
what was copied, before it is in the store; so every message that is there has one.

A row for each batch of at most 256 messages: 700,000 messages are 2,735 rows of 14 kB.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

import sqlalchemy as sa

from mailplat.core import disk
from mailplat.core.spool import Body
from mailplat.db.engine import Database
from migration.certificate import tables
from migration.sources.contract import Fetched

# UID, INTERNALDATE, zone, octets, SHA-256.
RECORD = struct.Struct(">IqhQ32s")
_CHUNK = 1024 * 1024
# Rows read with one question.
_ROWS = 64


class Digest(NamedTuple):
    uid: int
    internaldate: int
    zone: int
    size: int
    sha256: bytes


def sha256_of(body: Body) -> bytes:
    if body.in_memory:
        return hashlib.sha256(body.octets()).digest()
    digest = hashlib.sha256()
    with body.open() as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def keep(
    database: Database, account_id: int, mailbox: str, uidvalidity: int, fetched: Sequence[Fetched]
) -> None:
    """One batch. Synchronous: call it in executor "migration"."""
    if not fetched:
        return
    records = [
        Digest(each.uid, each.internaldate, each.zone, each.body.size, sha256_of(each.body))
        for each in sorted(fetched, key=lambda one: one.uid)
    ]
    with database.write() as connection:
        connection.execute(
            tables.digest.insert().values(
                account_id=account_id,
                mailbox=mailbox,
                uidvalidity=uidvalidity,
                first_uid=records[0].uid,
                last_uid=records[-1].uid,
                records=b"".join(RECORD.pack(*each) for each in records),
            )
        )
    disk.step("cert.digests")


def read(database: Database, account_id: int, mailbox: str, uidvalidity: int) -> Iterator[Digest]:
    """By UID, each once, the one that was kept last. Holds rows only as far as they overlap."""
    waiting: dict[int, tuple[int, Digest]] = {}  # by UID: (row, what it says)
    for row, first, records in _rows(database, account_id, mailbox, uidvalidity):
        yield from _take_below(waiting, first)
        for values in RECORD.iter_unpack(records):
            known = waiting.get(values[0])
            if known is None or known[0] < row:
                waiting[values[0]] = (row, Digest(*values))
    yield from _take_below(waiting, None)


def some(
    database: Database, account_id: int, mailbox: str, uidvalidity: int, uids: Set[int]
) -> dict[int, bytes]:
    """SHA-256 by UID, of those of `uids` that have one. Reads all of the mailbox."""
    rows = read(database, account_id, mailbox, uidvalidity)
    return {each.uid: each.sha256 for each in rows if each.uid in uids}


def _take_below(waiting: dict[int, tuple[int, Digest]], bound: int | None) -> Iterator[Digest]:
    for uid in sorted(uid for uid in waiting if bound is None or uid < bound):
        yield waiting.pop(uid)[1]


def _rows(
    database: Database, account_id: int, mailbox: str, uidvalidity: int
) -> Iterator[tuple[int, int, bytes]]:
    """By first UID; nothing of the database is held between two."""
    column = tables.digest.c
    mine = sa.and_(
        column.account_id == account_id, column.mailbox == mailbox, column.uidvalidity == uidvalidity
    )
    at = (-1, -1)
    while True:
        behind = sa.or_(column.first_uid > at[0], sa.and_(column.first_uid == at[0], column.id > at[1]))
        query = (
            sa.select(column.id, column.first_uid, column.records)
            .where(mine, behind)
            .order_by(column.first_uid, column.id)
            .limit(_ROWS)
        )
        with database.read() as connection:
            found = connection.execute(query).fetchall()
        for row, first, records in found:
            yield row, first, bytes(records)
            at = (first, row)
        if len(found) < _ROWS:
            return
