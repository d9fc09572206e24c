"""Drift: registered directories of legacy platforms are taken over again and again, since users there change their
passwords, are added and leave while their domain is moved. One worker does it, and of several machines one at a time.

Nothing is removed. An account that has vanished there is marked, and its move halted (gone.py).
"""

import asyncio
import threading
from collections import Counter, defaultdict
from pathlib import Path

import structlog
from prometheus_client import Counter as Figure
from prometheus_client import Gauge

from mailplat.admin.metrics import registry
from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError
from migration.directory.description import load
from migration.directory.gone import Removal
from migration.directory.register import Register, Registered
from migration.directory.report import WRITES, Report
from migration.directory.takeover import Takeover

log = structlog.get_logger("migration")

# What was shown of a backend before: it is zero where a later takeover does not find it.
_shown: defaultdict[str, set[str]] = defaultdict(set)

# How often it is looked whether one is due, seconds.
LOOK_S = 5.0

# Seconds that a rest between two batches lasts at most.
MOST_REST_S = 0.5

# Figures that are shown when they are zero too: somebody is alerted by them.
LEVELS = ("account gone", "alias gone", "refused")

# Where sources are staged, below the platform's data_dir.
FOLDER = "legacy-directory"

changes = Figure(
    "mailplat_legacy_directory_changes",
    "What the role migration has taken over from legacy directories, by backend and change (account added, ...)",
    ("backend", "change"),
    registry=registry,
)
found = Gauge(
    "mailplat_legacy_directory",
    "What the last takeover of a legacy directory found, by backend and what (account gone, refused, ...)",
    ("backend", "what"),
    registry=registry,
    multiprocess_mode="mostrecent",
)
rounds = Figure(
    "mailplat_legacy_directory_rounds",
    "Takeovers of legacy directories by the role migration, by backend and outcome (done, failed)",
    ("backend", "outcome"),
    registry=registry,
)


class _Stopped(MailplatError):
    """The process ends; what was done so far is kept, and the next one goes on."""


class Drift:
    """`every`: seconds between two takeovers of one directory; 0: never. `look`: between two looks."""

    def __init__(self, platform: Platform, every: float, look: float = LOOK_S) -> None:
        self._platform = platform
        self._register = Register(platform.database, platform.clock)
        self._every = every
        self._look_s = look
        self._stopped = threading.Event()
        self._rested = 0.0  # monotonic, until when

    async def run(self) -> None:
        """Until cancelled: then after the batch that is being written."""
        try:
            while self._every:
                try:
                    await self._look()
                except MailplatError as error:
                    log.warning("legacy directories cannot be looked at", reason=str(error))
                except Exception:
                    log.exception("a takeover of a legacy directory failed by a bug")
                await asyncio.sleep(self._look_s)
        finally:
            self._stopped.set()

    async def _look(self) -> None:
        run = self._platform.executors.run
        for each in await run("directory", self._register.all):
            if each.began + self._every <= self._platform.clock.now() and await run(
                "directory", self._register.begin, each
            ):
                await run("migration", self._take_over, each)

    def _take_over(self, each: Registered) -> None:
        report = Report(lambda row: None)
        platform = self._platform
        self._rested = platform.clock.monotonic()
        takeover = Takeover(
            platform.database,
            platform.clock,
            folder_of(platform),
            who="mailplat: role migration",
            pause=self._pause,
        )
        try:
            takeover.run(load(Path(each.file)), report, Removal(), write=True)
        except _Stopped:
            return
        except MailplatError as error:
            log.warning("legacy directory not taken over", backend=each.backend, reason=str(error))
            rounds.labels(each.backend, "failed").inc()
            self._register.end(each.backend, f"{type(error).__name__}: {error}"[:1000], None)
            return
        finally:
            _measure(each.backend, report.figures)
        rounds.labels(each.backend, "done").inc()
        if report.writes:
            log.info("legacy directory has changed", backend=each.backend, **_names(report.figures))
        self._register.end(each.backend, "", report.figures)

    def _pause(self) -> None:
        """Rests as long as the batch took: this worker's clients wait for the interpreter meanwhile."""
        took = self._platform.clock.monotonic() - self._rested
        if self._stopped.wait(min(took, MOST_REST_S)):
            raise _Stopped("the process ends")
        self._rested = self._platform.clock.monotonic()


def folder_of(platform: Platform) -> Path:
    return platform.settings.platform.data_dir / FOLDER


def _measure(backend: str, figures: Counter[str]) -> None:
    for name, number in figures.items():
        if name.rpartition(" ")[2] in WRITES:
            changes.labels(backend, name).inc(number)
    levels = {name for name in figures if name.rpartition(" ")[2] not in WRITES}
    for name in _shown[backend].union(LEVELS, levels):
        found.labels(backend, name).set(figures[name])
    _shown[backend] |= levels


def _names(figures: Counter[str]) -> dict[str, int]:
    return {name.replace(" ", "_"): number for name, number in figures.items()}
