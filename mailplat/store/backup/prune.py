"""Points that are not wanted any more, and the objects that only they needed."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mailplat.core import disk
from mailplat.core.errors import InvalidInput
from mailplat.store.backup.known import connect, open_known, refusals, still
from mailplat.store.backup.manifest import GONE, Manifest
from mailplat.store.backup.repository import Point, Repository


@dataclass(slots=True)
class PruneReport:
    points: int = 0  # removed
    kept: int = 0
    objects: int = 0  # removed
    octets: int = 0  # of these; freed where no shard shares them


def prune(repository: Repository, keep: int) -> PruneReport:
    """All points but the newest `keep`, at least 1. Objects without a point go too, those that a dead run left among
    them. Raises ManifestError, and removes no object, when a point that is kept cannot be read: nobody knows what it
    needs."""
    if keep < 1:
        raise InvalidInput(f"keep {keep} points: at least 1; to remove all of it, remove the folder")
    with repository.lock(exclusive=True), refusals(repository.path):
        repository.sweep()
        points = repository.points()
        report = PruneReport(points=len(points[:-keep]), kept=len(points[-keep:]))
        for point in points[:-keep]:
            _drop(repository, point)
        needed = repository.tmp / "needed.db"
        _note_needed(repository, needed)
        with open_known(repository, needed=still(needed)) as known:
            known.execute("DELETE FROM known WHERE digest NOT IN (SELECT digest FROM needed.object)")
            known.execute("PRAGMA wal_checkpoint")  # on disk before the first object goes
            disk.step("prune.known")
            for folder in sorted(repository.objects.iterdir()):
                _remove_unneeded(folder, known, report)
        repository.sweep()
    return report


def _drop(repository: Repository, point: Point) -> None:
    """By one rename: from then on it is no point."""
    aside = repository.tmp / point.name
    with disk.failures(point.path):
        disk.rename(point.path, aside, "prune.point")
        disk.fsync_directory(point.path.parent, "prune.dirsync")
        shutil.rmtree(aside)


def _note_needed(repository: Repository, path: Path) -> None:
    """What the points need, in a file of its own: there may be more of it than fits into memory."""
    with closing(connect(path)) as needed:
        needed.execute("PRAGMA synchronous=OFF")  # lives as long as this prune
        needed.execute("CREATE TABLE object (digest TEXT PRIMARY KEY) WITHOUT ROWID")
        needed.execute("BEGIN")
        for point in repository.points():
            rows = ((entry.digest,) for entry in Manifest(point.manifest).entries() if entry.digest != GONE)
            needed.executemany("INSERT OR IGNORE INTO object VALUES (?)", rows)
        needed.execute("COMMIT")


def _remove_unneeded(folder: Path, known: sqlite3.Connection, report: PruneReport) -> None:
    with disk.failures(folder), os.scandir(folder) as entries:
        for entry in entries:
            query = "SELECT 1 FROM needed.object WHERE digest = ?"
            if known.execute(query, (entry.name,)).fetchone() is None:
                report.octets += entry.stat(follow_symlinks=False).st_size
                os.unlink(entry.path)
                report.objects += 1
                disk.step("prune.object")
