"""Looks whether a backup is what its manifests say. May run beside restores."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.backup.known import connect, open_known, refusals, still
from mailplat.store.backup.manifest import GONE, ManifestError, digest_file, open_point
from mailplat.store.backup.repository import Point, Repository
from mailplat.store.types import Problem

# Kinds of problems; the words are stable, monitors may look for them.
POINT = "point"  # a manifest or an index that is not what was written
MISSING = "missing"  # an object that a point needs and that is not there
DAMAGED = "damaged"  # an object whose octets are not those of its name


@dataclass(slots=True)
class VerifyReport:
    points: int = 0
    objects: int = 0
    octets: int = 0
    gone: int = 0  # rows of messages that were expunged while their point was taken
    problems: list[Problem] = field(default_factory=list)


def verify(repository: Repository, *, point: Point | None = None, deep: bool = False) -> VerifyReport:
    """All points, or one: manifests, indexes and sizes of objects; with `deep` every octet. What is missing or
    damaged is forgotten, so that the next run takes it from the shard again, where it still has it; a damaged
    object is renamed to DIGEST.damaged. Raises Unavailable."""
    report = VerifyReport()
    with repository.lock(exclusive=False), refusals(repository.path), closing(connect(None)) as needed:
        needed.execute("CREATE TABLE object (digest TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID")
        for each in repository.points() if point is None else [point]:
            _check_point(repository, each, needed, report)
        bad = list(_check_objects(repository, needed, report, deep=deep))
        if bad:
            _forget(repository, bad)
    return report


def _check_point(
    repository: Repository, point: Point, needed: sqlite3.Connection, report: VerifyReport
) -> None:
    report.points += 1
    try:
        manifest = open_point(point.manifest, point.index, point.directory)
        with closing(connect(None, point=still(point.index))) as connection:
            (rows,) = connection.execute(
                "SELECT (SELECT count(*) FROM point.message) + (SELECT count(*) FROM point.vault)"
            ).fetchone()
        if rows != (lines := manifest.totals.messages + manifest.totals.vault):
            raise ManifestError(f"{point.path}: {rows} rows and {lines} lines")
    except ManifestError as error:
        report.problems.append(Problem(POINT, f"points/{point.name}", str(error)))
        return
    report.gone += manifest.totals.gone
    rows = ((entry.digest, entry.size) for entry in manifest.entries() if entry.digest != GONE)
    needed.execute("BEGIN")
    needed.executemany("INSERT OR IGNORE INTO object VALUES (?, ?)", rows)
    needed.execute("COMMIT")


def _check_objects(
    repository: Repository, needed: sqlite3.Connection, report: VerifyReport, *, deep: bool
) -> Iterator[str]:
    """The digests of bad ones."""
    for digest, size in needed.execute("SELECT digest, size FROM object ORDER BY digest"):
        path = repository.object(digest)
        report.objects += 1
        report.octets += size
        try:
            found = os.stat(path, follow_symlinks=False).st_size
            damage = f"{found} octets, not {size}" if found != size else ""
            if deep and not damage and _digest(path) != digest:
                damage = "its octets are not those that were written"
        except FileNotFoundError:
            report.problems.append(Problem(MISSING, _relative(repository, path), f"{size} octets"))
            yield digest
            continue
        if damage:
            report.problems.append(Problem(DAMAGED, _relative(repository, path), damage))
            yield digest


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except Unavailable:  # EIO: a disk that cannot read it
        return hashlib.sha256().hexdigest() + "?"


def _forget(repository: Repository, bad: list[str]) -> None:
    with open_known(repository) as known:
        known.executemany("DELETE FROM known WHERE digest = ?", [(digest,) for digest in bad])
    for digest in bad:
        path = repository.object(digest)
        with disk.failures(path):
            if path.exists():
                os.rename(path, path.with_name(f"{digest}.damaged"))


def _relative(repository: Repository, path: Path) -> str:
    return str(path.relative_to(repository.path))
