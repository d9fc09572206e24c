"""Where a new account goes. The choice is stored with the account (its route); later changes here move nobody.

A shard takes its share by weight and free space: the one that has most of free octets * weight for each account
that it would then have. Left out are those with `placement = false` or being drained, and those whose disk, looked
at just before, is full, read-only, or does not answer.
"""

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from mailplat.app.sections import ShardSection
from mailplat.core import disk
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.store.identity import SHARD_FILE

log = structlog.get_logger("placement")

# Seconds. Mail on a disk that takes longer for one small file is not worth adding to.
ANSWER_S = 2.0
# What was found is believed so long: thousands of accounts that are added in a row do not look each time.
BELIEVED_S = 10.0
# Octets. Mail in flight and the index's log still need room.
LEAST_FREE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """Of a shard's disk. `trouble` is empty where it can be written."""

    free: int  # octets
    trouble: str = ""


class Placement:
    """`shards` as configured. `made`: whether the platform has made the shard of that name, so that its directory
    must show it. `drained` names those that are being emptied, asked each time."""

    def __init__(
        self,
        shards: Mapping[str, ShardSection],
        made: Callable[[str], bool] = lambda name: False,
        drained: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._shards = shards
        self._made = made
        self._drained = drained
        self._found: dict[str, tuple[float, Condition]] = {}

    def condition(self, name: str) -> Condition:
        """As it is now, or was a few seconds ago. Returns in ANSWER_S whatever the disk does."""
        found = self._found.get(name)
        if found is not None and time.monotonic() - found[0] < BELIEVED_S:
            return found[1]
        condition = _look(self._shards[name].path, self._made(name))
        self._found[name] = time.monotonic(), condition
        return condition

    def candidates(self, among: Collection[str] | None = None) -> list[str]:
        """Names of the shards that take new accounts; of those `among` which somebody chooses, also one with
        `placement = false`. Raises Unavailable where there is none."""
        refused: list[str] = []
        taken: list[str] = []
        drained = self._drained()
        for name in sorted(self._shards) if among is None else sorted(among):
            if among is None and not self._shards[name].placement:
                refused.append(f"{name}: placement is off")
            elif name in drained:
                refused.append(f"{name}: is being drained")
            elif trouble := self.condition(name).trouble:
                log.warning("shard is left out of placement", shard=name, reason=trouble)
                refused.append(f"{name}: {trouble}")
            else:
                taken.append(name)
        if not taken:
            raise Unavailable(f"no shard takes new accounts; {'; '.join(refused)}")
        return taken

    def choose(self, accounts: Mapping[str, int], among: Collection[str] | None = None) -> str:
        """The shard for one more account. `accounts`: how many each has. Raises Unavailable."""

        def share(name: str) -> float:
            room = self.condition(name).free * self._shards[name].weight
            return room / (accounts.get(name, 0) + 1)

        return max(self.candidates(among), key=share)


def _look(path: Path, made: bool) -> Condition:
    """In a thread of its own, which is left behind where the disk does not answer."""
    found: list[Condition] = []
    thread = threading.Thread(
        target=lambda: found.append(_probe(path, made)), name=f"probe {path}", daemon=True
    )
    thread.start()
    thread.join(ANSWER_S)
    return found[0] if found else Condition(0, f"{path} has not answered for {ANSWER_S:.0f} s")


def _probe(path: Path, made: bool) -> Condition:
    """What an append does, with an empty file."""
    try:
        if made and not (path / SHARD_FILE).exists():
            return Condition(0, f"{path / SHARD_FILE} is missing: is the disk mounted?")
        folder = path / "tmp"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(path).free
        if free < LEAST_FREE:
            return Condition(free, f"{path}: less than {LEAST_FREE >> 20} MiB free")
        file = folder / f"probe.{secrets.token_hex(8)}"
        with disk.failures(file):
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
                os.unlink(file)
        return Condition(free)
    except (OSError, MailplatError) as error:
        return Condition(0, str(error))
