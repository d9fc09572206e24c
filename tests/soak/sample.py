"""What the platform is at one instant, seen from outside: /proc, the files, the indexes."""

import os
import sqlite3
import statistics
import threading
from collections import defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class Clock:
    """Milliseconds of each verb since the last sample. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, list[float]] = defaultdict(list)

    def add(self, verb: str, milliseconds: float) -> None:
        with self._lock:
            self._times[verb].append(milliseconds)

    def take(self) -> dict[str, list[float]]:
        with self._lock:
            times, self._times = self._times, defaultdict(list)
        return dict(times)


@dataclass
class Verb:
    count: int
    p50: float
    p99: float

    @classmethod
    def of(cls, times: list[float]) -> "Verb":
        if len(times) < 2:
            return cls(len(times), sum(times), sum(times))
        marks = statistics.quantiles(times, n=100, method="inclusive")
        return cls(len(times), marks[49], marks[98])


@dataclass
class Process:
    """Octets, but for numbers of files and threads. `own` is memory that no file backs: what a leak is in. PSS would
    change with the number of other programs that have the same libraries."""

    rss: int
    own: int
    files: int
    threads: int


@dataclass
class Shard:
    index: int  # octets of the file
    wal: int
    free: int  # octets of pages that are free
    rows: dict[str, int]
    stored: int  # files of messages, in mailboxes and in the vault


@dataclass
class Sample:
    seconds: float
    verbs: dict[str, Verb]
    workers: dict[int, Process]
    shards: dict[str, Shard]
    others: dict[str, int] = field(default_factory=dict)  # octets of the platform's own database and its log

    def json(self) -> dict[str, Any]:
        return asdict(self)


# What one shard's index has; all but the first two are for a while only.
TABLES = ("message", "rendering", "vault", "expunged", "leaving", "dedupe", "flagset", "mailbox")


def workers(parent: int) -> list[int]:
    """Children of the supervisor that are workers, in the order of their starts."""
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        children = [int(word) for word in file.read().split()]
    return [pid for pid in children if b"mailplat.app.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def process(pid: int) -> Process:
    memory = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return Process(
        memory["Rss"] * 1024,
        memory["Anonymous"] * 1024,
        len(os.listdir(f"/proc/{pid}/fd")),
        len(os.listdir(f"/proc/{pid}/task")),
    )


def _fields(text: str) -> dict[str, int]:
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0])
    return found


def shard(path: Path) -> Shard:
    index = path / "index.db"
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True, timeout=30)) as connection:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        rows = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    return Shard(octets(index), octets(path / "index.db-wal"), free * page, rows, _stored(path))


def _stored(path: Path) -> int:
    """Counted while they come and go."""
    count = 0
    for place, folders in ((path / "accounts", ("cur", "new")), (path / "vault", None)):
        for folder, _, files in os.walk(place):
            if folders is None or os.path.basename(folder) in folders:
                count += sum(not name.endswith(".json") for name in files)
    return count


def octets(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
