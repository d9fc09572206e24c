"""The folder of an export: empty at first, marked as incomplete until all of it is on disk."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailplat.core import disk
from mailplat.core.errors import InvalidInput, Unavailable

INCOMPLETE = "INCOMPLETE"
MANIFEST = "manifest.json"

# Of Dovecot's configuration files.
_SPECIAL = '"\\%#$'

_INCOMPLETE = b"This export was not finished: not all of the mail is here. Remove it and export again.\n"


class Tree:
    """Everything that an export writes goes through here, but for the message files. Folders are 0700, files 0600.
    Run by root, all of it belongs to whom the shard belongs to, as the linked files do."""

    def __init__(self, path: Path, shard: Path) -> None:
        """Raises InvalidInput for a folder that is not empty, Unavailable, DiskFull. Steps: export.marker,
        export.marked."""
        self.path = path.absolute()
        if any(character in _SPECIAL or not character.isprintable() for character in str(self.path)):
            raise InvalidInput(
                f"{str(self.path)!r}: a path that no configuration file can name; choose another"
            )
        inside, outside = self.path.resolve(), shard.resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise InvalidInput(f"{path} and the shard at {shard}: one is inside the other")
        owner = shard.stat()
        self.owner = (owner.st_uid, owner.st_gid)
        self._chown = os.geteuid() == 0
        with disk.failures(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if any(entry.name != "lost+found" for entry in self.path.iterdir()):
                raise InvalidInput(
                    f"{path} is not empty; name a folder that is, or one that is not there yet"
                )
            self.give(self.path)
            # opened before anything is written: it hears of every block that could not be
            self._batch = disk.Batch(self.path) if disk.Batch.supported else None
        try:
            with disk.failures(self.path):
                fd = os.open(
                    self.path / INCOMPLETE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
                )
                try:
                    os.write(fd, _INCOMPLETE)
                    disk.fsync(fd, "export.marker")
                finally:
                    os.close(fd)
                disk.fsync_directory(self.path, "export.marked")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Idempotent. What was not finished stays, marked."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.close()

    def make(self, folder: Path) -> None:
        """With those above it. Raises Unavailable, DiskFull."""
        with disk.failures(folder):
            for each in (*reversed(folder.relative_to(self.path).parents), folder.relative_to(self.path)):
                with contextlib.suppress(FileExistsError):
                    (self.path / each).mkdir(mode=0o700)
                    self.give(self.path / each)

    def write(self, file: Path, octets: bytes) -> None:
        """A new small file. Raises Unavailable, DiskFull."""
        with disk.failures(file):
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as written:
                written.write(octets)
            self.give(file)

    def finish(self, manifest: dict[str, Any]) -> None:
        """All of it on disk, then the manifest, then the mark goes. Steps: export.sync, export.manifest.*,
        export.whole, export.done. Raises Unavailable, DiskFull."""
        with disk.failures(self.path):
            if self._batch is not None:
                self._batch.sync("export.sync")
            else:
                _sync(self.path)
            octets = json.dumps(manifest, ensure_ascii=False, indent=1).encode() + b"\n"
            disk.write_file(self.path / MANIFEST, octets, "export.manifest")
            self.give(self.path / MANIFEST)
            os.unlink(self.path / INCOMPLETE)
            disk.step("export.whole")
            disk.fsync_directory(self.path, "export.done")

    def give(self, path: Path) -> None:
        """To the owner of the shard."""
        if self._chown:
            os.chown(path, *self.owner, follow_symlinks=False)


@contextlib.contextmanager
def open_tree(path: Path, shard: Path) -> Iterator[Tree]:
    """Raises Unavailable also when somebody takes the folder away meanwhile."""
    try:
        tree = Tree(path, shard)
        try:
            yield tree
        finally:
            tree.close()
    except FileNotFoundError as error:
        raise Unavailable(f"{path}: {error}") from error


def _sync(root: Path) -> None:
    """Where the system has no syncfs: every file and every folder."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                disk.fsync(fd, "export.sync")
            finally:
                os.close(fd)
        disk.fsync_directory(folder, "export.sync")
    disk.fsync_directory(root.parent, "export.sync")
