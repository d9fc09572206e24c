"""Files of one mailbox, by the names that they had when it was listed."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from mailplat.core.errors import Unavailable
from migration.sources.maildir.listing import File, Folder, Message, files
from migration.sources.maildir.tree import open_file

log = structlog.get_logger("migration")

T = TypeVar("T")


class Reader:
    """Messages of one mailbox. A file that was renamed since it was listed is looked for once for all of them."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.where = str(folder.path)
        self._stack = contextlib.ExitStack()
        self._places: dict[str, int] = {}
        self._again: dict[str, File] | None = None

    def __enter__(self) -> "Reader":
        try:
            for place in ("cur", "new"):
                self._places[place] = self._stack.enter_context(
                    self.folder.mount.folder(self.folder.path / place)
                )
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def status(self, message: Message) -> os.stat_result | None:
        """None where it is gone."""
        return self._do(message, lambda fd, name: os.stat(name, dir_fd=fd, follow_symlinks=False))

    def open(self, message: Message) -> tuple[int, os.stat_result] | None:
        """Its descriptor, and what it is. None where it is gone, or is no plain file."""
        try:
            return self._do(message, open_file)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EINVAL):
                raise
            log.warning("no plain file", folder=str(self.folder.path), file=message.file[1])
            return None

    def _do(self, message: Message, what: Callable[[int, str], T]) -> T | None:
        for place, name in self._names(message):
            try:
                return what(self._places[place], name)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EINVAL):
                    raise
                raise Unavailable(f"{self.folder.path}/{place}/{name}: {error.strerror}") from error
        return None

    def _names(self, message: Message) -> Iterator[File]:
        yield message.file
        if self._again is None:
            self._again, _, _ = files(self.folder)
        if message.base in self._again:
            yield self._again[message.base]
