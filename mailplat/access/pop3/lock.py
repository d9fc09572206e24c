"""One POP3 session an account, over all workers of the machine that has its shard (RFC 1939 4)."""

import fcntl
import os
from pathlib import Path

from mailplat.access.login import MaildropInUse
from mailplat.core import disk
from mailplat.core.route import Residence

FOLDER = "locks"


class MaildropLock:
    """Held from its making to `release`. Blocks on the disk only: for threads."""

    def __init__(self, shard: Path, residence: Residence) -> None:
        """Raises MaildropInUse, Unavailable."""
        folder = shard / FOLDER
        path = folder / f"{residence.account_id}.pop3"
        with disk.failures(path):
            try:
                self._fd = self._open(path)
            except FileNotFoundError:
                folder.mkdir(mode=0o700, exist_ok=True)
                self._fd = self._open(path)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self.release()
                raise MaildropInUse(f"account {residence.account_id} has another POP3 session") from error
            except OSError:
                self.release()
                raise

    def release(self) -> None:
        """Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
