"""Which workers of the engine are there. Each has a name that stays the same over its starts, so that it finds what
it left, and says every few seconds that it lives; whose word is older than a lease is gone or asleep, and others take
up its turns. That it may wake is what epochs are for. Synchronous: call it in executor "migration".

A name is that of the data directory and the worker's index: it is one process's as long as it holds the lock of its
file. Only a copy of the data directory could have the same name on another machine, and is refused."""

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database
from migration.lease import Lease
from migration.tables import worker as table

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Doubled(Unavailable):
    """Another process has this worker's name."""


@dataclass(frozen=True, slots=True)
class Worker:
    name: str
    since: float
    busy: bool  # it hands out turns


class Presence:
    """`folder`: in the data directory; made where it is not there. `lease`: seconds that a word counts."""

    def __init__(self, database: Database, clock: Clock, folder: Path, index: int, lease: float) -> None:
        self._database = database
        self._clock = clock
        self._folder = folder
        self._index = index
        self._seconds = lease
        self.lease = Lease(clock, lease)
        self._lock: int | None = None
        self.incarnation = secrets.token_hex(8)
        self.name = ""
        self._place = ""
        self._since = 0.0

    def claim(self) -> None:
        """Raises Doubled where another process has this name; Unavailable."""
        try:
            self._claim_file()
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error.strerror}") from error
        now, said = self._clock.now(), self._clock.monotonic()
        with self._database.write() as connection:
            row = connection.execute(sa.select(table).where(table.c.name == self.name)).one_or_none()
            if row is not None and row.place != self._place and row.seen > now - self._seconds:
                raise Doubled(
                    f"another process works as {self.name}: was the data directory copied from another"
                    f" machine? Remove {self._folder / 'name'} on one of them"
                )
            connection.execute(table.delete().where(table.c.name == self.name))
            self._since = now
            values = {"name": self.name, "incarnation": self.incarnation, "place": self._place}
            connection.execute(table.insert().values(**values, since=now, seen=now, busy=False))
        self.lease.renew(said)

    def _claim_file(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            lock = os.open(
                self._folder / f"worker-{self._index}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(lock)
                raise Doubled(
                    f"another process of this machine is worker {self._index} of {self._folder}"
                ) from error
            self._lock = lock
        status = os.fstat(self._lock)
        # Whose row has this place was this very file's holder, and is gone: the lock is ours.
        self._place = f"{_BOOT.read_text().strip()}:{status.st_dev}:{status.st_ino}"
        self.name = f"{self._node()}.{self._index}"

    def _node(self) -> str:
        """The workers of a new machine start at once: the first one gives it a name."""
        file = self._folder / "name"
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not file.exists():
                disk.write_file(file, secrets.token_hex(8).encode(), "presence.name")
            return file.read_text().strip()
        finally:
            os.close(folder)

    def beat(self, *, busy: bool) -> list[Worker]:
        """Everybody who lives, the one that has been there for longest first. Raises Doubled where the name was taken
        meanwhile."""
        now, said = self._clock.now(), self._clock.monotonic()
        with self._database.write() as connection:
            mine = sa.and_(table.c.name == self.name, table.c.incarnation == self.incarnation)
            done = connection.execute(table.update().where(mine).values(seen=now, busy=busy))
            if not done.rowcount:
                raise Doubled(f"another process works as {self.name} now")
            living = sa.select(table.c.name, table.c.since, table.c.busy).where(
                table.c.seen > now - self._seconds
            )
            rows = connection.execute(living.order_by(table.c.since, table.c.name)).fetchall()
        self.lease.renew(said)
        return [Worker(*row) for row in rows]

    def anybody_busy(self) -> bool:
        mine = sa.and_(table.c.busy, table.c.seen > self._clock.now() - self._seconds)
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.literal(1)).where(mine).limit(1)).first() is not None

    def leave(self) -> None:
        with self._database.write() as connection:
            mine = sa.and_(table.c.name == self.name, table.c.incarnation == self.incarnation)
            connection.execute(table.delete().where(mine))
        self.release()

    def release(self) -> None:
        """The lock of the file alone; a row that stays is known by its place."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
