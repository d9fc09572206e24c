"""The files of the queue: one for each message, in folders by time."""

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mailplat.core import disk
from mailplat.core.errors import Unavailable

FOLDERS = 256
# A folder's share of time: long enough that a group commit touches one folder, short enough that even
# 2,000 messages a second make folders of a few thousand files.
FOLDER_S = 4

# A file without a row is swept when it is older than this; a put takes seconds.
SWEEP_AGE_S = 3600.0

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_ID = re.compile(rf"[{_DIGITS}]{{16}}")


def new_id(now: float) -> str:
    """16 characters: 9 of milliseconds since 1970 (until the year 3084), 7 drawn."""
    return _digits(int(now * 1000), 9) + _digits(secrets.randbits(35), 7)


def _digits(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))


def _time(message_id: str) -> int:
    """Unix seconds of an id."""
    number = 0
    for digit in message_id[:9]:
        number = number * 32 + _DIGITS.index(digit)
    return number // 1000


class SpoolDirectory:
    """Makes its folders when they are not there; `identity` is drawn at the first start and stays."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root / "tmp"
        with disk.failures(root):
            self.tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(FOLDERS):
                (root / f"{number:02x}").mkdir(exist_ok=True, mode=0o700)
            disk.fsync_directory(root, "spool.folders")
            self.identity = self._identity()

    def path(self, message_id: str) -> Path:
        """Where the octets of a message are. ValueError for what is no id: names never become paths."""
        if not _ID.fullmatch(message_id):
            raise ValueError(f"{message_id!r} is no queue id")
        return self.root / f"{_time(message_id) // FOLDER_S % FOLDERS:02x}" / message_id

    def temporary(self, message_id: str) -> Path:
        return self.tmp / message_id

    def publish(self, moves: Sequence[tuple[Path, Path]]) -> None:
        """Rename each, then make the folders durable. May be called again after a failure."""
        for source, target in moves:
            with disk.failures(target):
                try:
                    disk.rename(source, target, "put.rename")
                except FileNotFoundError as error:
                    if not target.exists():
                        raise Unavailable(f"{source}: the spooled file vanished") from error
        for folder in {target.parent for _, target in moves}:
            with disk.failures(folder):
                disk.fsync_directory(folder, "put.dirsync")

    def withdraw(self, move: tuple[Path, Path]) -> None:
        """The file of a message that was refused, wherever it is by now: on a full disk it would keep it full. A
        failure leaves it to the next sweep."""
        for path in move:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def unlink(self, message_ids: Sequence[str]) -> None:
        """After the commit that removed their rows. A failure leaves a file to the next sweep."""
        for message_id in message_ids:
            with contextlib.suppress(OSError):
                os.unlink(self.path(message_id))
        if message_ids:
            disk.step("settle.unlink")

    def sweep(self, now: float, known: Callable[[Sequence[str]], set[str]]) -> int:
        """Unlink files that have no row and are older than SWEEP_AGE_S; how many. `known` tells which of some
        ids have one."""
        swept = 0
        for folder in [self.tmp, *(self.root / f"{number:02x}" for number in range(FOLDERS))]:
            old = [path for path in _files(folder) if _older(path, now - SWEEP_AGE_S)]
            ids = [path.name for path in old if folder != self.tmp and _ID.fullmatch(path.name)]
            alive = known(ids) if ids else set()
            for path in old:
                if path.name not in alive:
                    path.unlink(missing_ok=True)
                    swept += 1
        return swept

    def _identity(self) -> str:
        path = self.root / "identity"
        if path.exists():
            return path.read_text()
        with contextlib.suppress(FileExistsError):
            fresh = self.tmp / f"identity.{secrets.token_hex(8)}"
            disk.write_file(fresh, secrets.token_hex(8).encode(), "spool.identity")
            try:
                os.link(fresh, path)  # unlike a rename it never replaces: the first of several starts wins
                disk.fsync_directory(self.root, "spool.identity.link")
            finally:
                fresh.unlink()
        return path.read_text()


def _files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _older(path: Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime < limit
    except FileNotFoundError:
        return False
