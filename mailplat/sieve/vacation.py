"""Whom a vacation has answered, so that nobody is answered twice within its days (RFC 5230 4.2).

An answer is known by a key of 16 octets: MD5 of the sender's address (the reverse-path) in lower case and the handle,
one behind the other. That is how Pigeonhole makes it (src/lib-sieve/plugins/vacation/cmd-vacation.c), so that what
a legacy platform remembers goes on to hold here. The handle is what the script says (:handle, RFC 5230 4.2); where
it says none it is made of the vacation's arguments, by whoever compiles it. MD5 keeps no secret here: who
finds two senders with one key spares one of them an answer.

Synchronous and thread-safe. Raises Unavailable when the database cannot answer.
"""

import hashlib
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.limits.sieve import SieveLimits
from mailplat.db.engine import Database
from mailplat.sieve import tables

_column = tables.answer.c

# Octets of a key; others' are not ours.
KEY_OCTETS = 16


def answer_key(sender: str, handle: str) -> bytes:
    """`sender`: the reverse-path, without brackets."""
    # ASCII letters only, as Pigeonhole's t_str_lcase does: the local part of one in UTF-8 stays as it is.
    octets = sender.encode().lower() + handle.encode()
    return hashlib.md5(octets, usedforsecurity=False).digest()


class Answers:
    def __init__(self, database: Database, clock: Clock, limits: SieveLimits | None = None) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits or SieveLimits()

    def was_answered(self, account_id: int, key: bytes) -> bool:
        """And is not to be answered yet."""
        query = sa.select(sa.literal(1)).where(
            _column.account_id == account_id, _column.key == key, _column.until >= self._clock.now()
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def remember(self, account_id: int, key: bytes, seconds: float) -> bool:
        """Before the answer goes out. False where one was remembered already, by another worker, and holds: then none
        is to go out."""
        now = self._clock.now()
        with self._database.write() as connection:
            held = connection.execute(
                sa.select(_column.until).where(_column.account_id == account_id, _column.key == key)
            ).scalar_one_or_none()
            if held is not None and held >= now:
                return False
            put(connection, account_id, {key: now + seconds}, now, self._limits.answers)
        return True


def put(
    connection: Connection, account_id: int, answers: Mapping[bytes, float], now: float, most: int
) -> int:
    """Key and until when, beside those that are here; of two for one key the later holds. Those that are over go, and
    of more than `most` the ones that are over first. How many are here then."""
    mine = _column.account_id == account_id
    rows = connection.execute(sa.select(_column.key, _column.until).where(mine)).fetchall()
    here = {bytes(key): until for key, until in rows}
    wanted = {key: until for key, until in here.items() if until >= now}
    for key, until in answers.items():
        if until >= max(now, wanted.get(key, 0.0)):
            wanted[key] = until
    keys = sorted(wanted, key=lambda each: -wanted[each])[:most]
    gone = here.keys() - set(keys)
    changed = [key for key in keys if here.get(key) != wanted[key]]
    for key in [*gone, *changed]:
        connection.execute(tables.answer.delete().where(mine, _column.key == key))
    if changed:
        connection.execute(
            tables.answer.insert(),
            [{"account_id": account_id, "key": key, "until": wanted[key]} for key in changed],
        )
    return len(keys)


def of(connection: Connection, account_id: int) -> dict[bytes, float]:
    rows = connection.execute(sa.select(_column.key, _column.until).where(_column.account_id == account_id))
    return {bytes(key): until for key, until in rows}


def forget(connection: Connection, account_id: int) -> None:
    connection.execute(tables.answer.delete().where(_column.account_id == account_id))
