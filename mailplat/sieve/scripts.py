"""Scripts of accounts: what ManageSieve (RFC 5804 2) does with them. Synchronous and thread-safe; each change is one
transaction. Raises Unavailable when the database cannot answer.

`read`, `replace` and `forget` work in the transaction of somebody else: a migration writes under its own guard.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.errors import AlreadyExists, InvalidInput, LimitReached, NotFound
from mailplat.core.limits.sieve import SieveLimits
from mailplat.db.engine import Database
from mailplat.sieve import tables
from mailplat.wire.managesieve.names import check_name

_column = tables.script.c


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    size: int  # octets
    active: bool
    changed: float  # Unix time


@dataclass(frozen=True, slots=True)
class Scripts:
    """All of one account. `active` is a name in `octets`, or ""."""

    octets: Mapping[str, bytes] = field(default_factory=dict)
    active: str = ""


class ScriptStore:
    def __init__(self, database: Database, clock: Clock, limits: SieveLimits | None = None) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits or SieveLimits()

    def list(self, account_id: int) -> list[Script]:
        """By name."""
        query = sa.select(_column.name, sa.func.length(_column.octets), _column.active, _column.changed)
        with self._database.read() as connection:
            rows = connection.execute(query.where(_column.account_id == account_id)).fetchall()
        return sorted((Script(*row) for row in rows), key=lambda each: each.name)

    def get(self, account_id: int, name: str) -> bytes:
        """Raises NotFound."""
        with self._database.read() as connection:
            return _need(connection, account_id, name)[0]

    def active(self, account_id: int) -> tuple[str, bytes] | None:
        """(name, octets) of the one that sorts the account's mail."""
        query = sa.select(_column.name, _column.octets).where(
            _column.account_id == account_id, _column.active
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row[0], bytes(row[1]))

    def put(self, account_id: int, name: str, octets: bytes) -> None:
        """In place of one of that name, which stays active if it was (RFC 5804 2.6). Raises InvalidInput,
        LimitReached."""
        check(name, octets, self._limits)
        with self._database.write() as connection:
            values = {"octets": octets, "changed": self._clock.now()}
            if connection.execute(
                tables.script.update().where(_is(account_id, name)).values(**values)
            ).rowcount:
                return
            count = sa.select(sa.func.count()).where(_column.account_id == account_id)
            if connection.execute(count).scalar_one() >= self._limits.scripts:
                raise LimitReached(
                    f"account {account_id} has {self._limits.scripts} scripts, the most it may have"
                )
            connection.execute(
                tables.script.insert().values(account_id=account_id, name=name, active=False, **values)
            )

    def activate(self, account_id: int, name: str) -> None:
        """This one and no other; "": none (RFC 5804 2.8). Raises NotFound."""
        with self._database.write() as connection:
            if name:
                _need(connection, account_id, name)
            _activate(connection, account_id, name)

    def rename(self, account_id: int, old: str, new: str) -> None:
        """An active one stays so (RFC 5804 2.11.1). Raises NotFound, AlreadyExists, InvalidInput, LimitReached."""
        check_name(new, self._limits.name)
        with self._database.write() as connection:
            _need(connection, account_id, old)
            if connection.execute(sa.select(sa.literal(1)).where(_is(account_id, new))).first() is not None:
                raise AlreadyExists(f"account {account_id} has a script {new!r} already")
            connection.execute(tables.script.update().where(_is(account_id, old)).values(name=new))

    def remove(self, account_id: int, name: str) -> None:
        """Raises NotFound; InvalidInput for the active one (RFC 5804 2.10)."""
        with self._database.write() as connection:
            if _need(connection, account_id, name)[1]:
                raise InvalidInput(f"script {name!r} is active; make another one active first, or none")
            connection.execute(tables.script.delete().where(_is(account_id, name)))


def check(name: str, octets: bytes, limits: SieveLimits) -> None:
    """Raises InvalidInput, LimitReached for what cannot be kept."""
    check_name(name, limits.name)
    if len(octets) > limits.script:
        raise LimitReached(f"script {name!r} has {len(octets)} octets; {limits.script} at most")


def read(connection: Connection, account_id: int) -> Scripts:
    query = sa.select(_column.name, _column.octets, _column.active).where(_column.account_id == account_id)
    rows = connection.execute(query).fetchall()
    return Scripts(
        {name: bytes(octets) for name, octets, _ in rows}, next((name for name, _, on in rows if on), "")
    )


def replace(connection: Connection, account_id: int, wanted: Scripts, now: float) -> int:
    """These and no others, without limits; who calls has checked them. How many were put, removed or activated."""
    here = read(connection, account_id)
    gone = here.octets.keys() - wanted.octets.keys()
    new = [name for name, octets in wanted.octets.items() if here.octets.get(name) != octets]
    for name in [*gone, *new]:
        connection.execute(tables.script.delete().where(_is(account_id, name)))
    for name in new:
        values = {"account_id": account_id, "name": name, "octets": wanted.octets[name]}
        connection.execute(tables.script.insert().values(active=False, changed=now, **values))
    _activate(connection, account_id, wanted.active)
    return len(gone) + len(new) + (here.active != wanted.active)


def forget(connection: Connection, account_id: int) -> None:
    connection.execute(tables.script.delete().where(_column.account_id == account_id))


def _is(account_id: int, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(_column.account_id == account_id, _column.name == name)


def _need(connection: Connection, account_id: int, name: str) -> tuple[bytes, bool]:
    """(octets, whether it is active). Raises NotFound."""
    row = connection.execute(
        sa.select(_column.octets, _column.active).where(_is(account_id, name))
    ).one_or_none()
    if row is None:
        raise NotFound(f"account {account_id} has no script {name!r}")
    return bytes(row[0]), row[1]


def _activate(connection: Connection, account_id: int, name: str) -> None:
    connection.execute(
        tables.script.update().where(_column.account_id == account_id).values(active=_column.name == name)
    )
