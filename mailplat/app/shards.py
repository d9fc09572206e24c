"""The shards of the configuration file, also those that were added since this process started.

The file is looked at again (a stat) when somebody asks for a name that is not known, and when all are listed. One
that is gone from the file stays known here until the process ends: its sessions are not cut off. A file that cannot
be read any more changes nothing.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from mailplat.app.sections import ShardSection
from mailplat.app.settings import Settings, load
from mailplat.core.errors import MailplatError

log = structlog.get_logger("shards")


class Shards(Mapping[str, ShardSection]):
    """By name. Paths are absolute. Asked by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.file
        self._known = dict(settings.store.shards)
        self._seen = _stamp(self._file)
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> ShardSection:
        if name not in self._known:
            self._look()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def _look(self) -> None:
        with self._lock:
            if self._file is None or (stamp := _stamp(self._file)) == self._seen:
                return
            self._seen = stamp
            try:
                found = load(self._file).store.shards
            except MailplatError as error:
                log.error("the configuration is not read again", reason=str(error))
                return
            for name in sorted(found.keys() - self._known.keys()):
                log.info("shard added", shard=name, path=str(found[name].path))
            # Where a shard lies does not change under a process that has it open.
            kept = {name: shard.path for name, shard in self._known.items()}
            self._known = self._known | {
                name: shard.model_copy(update={"path": kept.get(name, shard.path)})
                for name, shard in found.items()
            }


class ShardPaths(Mapping[str, Path]):
    """What the store needs of them."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def __getitem__(self, name: str) -> Path:
        return self._shards[name].path

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Changes when the file is replaced or written. None where there is none."""
    try:
        found = os.stat(file) if file is not None else None
    except OSError:
        return None
    return found and (found.st_ino, found.st_mtime_ns, found.st_size)
