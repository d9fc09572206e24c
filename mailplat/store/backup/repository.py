"""The folder of a backup: what it is, who may work in it, which points it has."""

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailplat.core import disk
from mailplat.core.errors import InvalidInput, NotFound, Unavailable
from mailplat.store.backup.manifest import NAME as MANIFEST

FORMAT = 1
IDENTITY = "backup.json"

_POINT = re.compile(r"\d{8}T\d{9}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Point:
    name: str  # UTC, to the millisecond: 20261124T061500123Z
    path: Path

    @property
    def index(self) -> Path:
        return self.path / "index.db"

    @property
    def manifest(self) -> Path:
        return self.path / MANIFEST

    @property
    def directory(self) -> Path:
        return self.path / "directory"

    @property
    def day(self) -> str:
        return f"{self.name[:4]}-{self.name[4:6]}-{self.name[6:8]}"


class Repository:
    def __init__(self, path: Path, shard: str) -> None:
        """Use `create` or `open`."""
        self.path = path
        self.shard = shard
        self.objects = path / "objects"
        self.tmp = path / "tmp"

    @classmethod
    def create(cls, path: Path, shard: str) -> "Repository":
        """Open the backup of this shard, or begin one in a folder that is absent or empty. Raises InvalidInput for a
        folder that is something else, Unavailable, DiskFull."""
        with disk.failures(path):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (path / IDENTITY).exists():
                # lock and tmp may be there: a first run that died
                if any(entry.name != "lock" and entry.suffix != ".new" for entry in path.iterdir()):
                    raise InvalidInput(f"{path}: neither a backup nor empty; name another folder")
                identity = json.dumps({"format": FORMAT, "shard": shard}).encode() + b"\n"
                disk.write_file(path / IDENTITY, identity, "backup.identity")
        repository = cls.open(path)
        if repository.shard != shard:
            raise InvalidInput(f"{path}: the backup of shard {repository.shard}, not of {shard}")
        with disk.failures(path):
            for folder in (repository.tmp, path / "points"):
                folder.mkdir(exist_ok=True, mode=0o700)
            for number in range(256):
                (repository.objects / f"{number:02x}").mkdir(parents=True, exist_ok=True, mode=0o700)
        return repository

    @classmethod
    def open(cls, path: Path) -> "Repository":
        """Raises NotFound, InvalidInput for another format."""
        try:
            with disk.failures(path):
                identity = json.loads((path / IDENTITY).read_bytes())
            if identity["format"] != FORMAT:
                raise InvalidInput(
                    f"{path}: a backup of format {identity['format']}; this release knows {FORMAT}"
                )
            return cls(path, str(identity["shard"]))
        except FileNotFoundError as error:
            raise NotFound(f"{path}: no backup; `mailplat shard backup run` makes one") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path / IDENTITY}: cannot be read: {error}") from error

    @contextlib.contextmanager
    def lock(self, *, exclusive: bool) -> Iterator[None]:
        """Raises Unavailable while another process works here in a way that does not go together."""
        with disk.failures(self.path), open(self.path / "lock", "a") as lock:
            try:
                fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unavailable(f"{self.path}: another backup, prune or restore is at work here") from error
            yield

    def sweep(self) -> None:
        """What an earlier run left in tmp/. Only under the exclusive lock."""
        with disk.failures(self.tmp):
            for entry in self.tmp.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()

    def object(self, digest: str) -> Path:
        """Raises InvalidInput for what is no digest: it would be part of a path."""
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput(f"{self.path}: {digest[:80]!r} is no digest")
        return self.objects / digest[:2] / digest

    def points(self) -> list[Point]:
        """The oldest first."""
        with disk.failures(self.path):
            try:
                names = [entry.name for entry in (self.path / "points").iterdir()]
            except FileNotFoundError:
                return []
        return [Point(name, self.path / "points" / name) for name in sorted(names) if _POINT.fullmatch(name)]

    def point(self, when: str | None = None) -> Point:
        """The newest one at or before `when`: a point's name or its beginning, also written 2026-11-24 06:15. None:
        the newest of all. Raises NotFound, InvalidInput."""
        points = self.points()
        if when is not None:
            text = re.sub(r"[-:. ]", "", when.replace("T", " "))
            if not re.fullmatch(r"\d{4,17}Z?", text):
                raise InvalidInput(f"{when!r} is no point in time; write 2026-11-24 06:15 (UTC)")
            points = [point for point in points if point.name.replace("T", "") <= text + "~"]
        if not points:
            raise NotFound(f"{self.path}: no point in time{f' at or before {when}' if when else ''}")
        return points[-1]


def point_name(now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z"
