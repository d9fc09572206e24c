"""A shard's disk in trouble under load: full, and turned read-only, on a loop image of its own. Part of
`make fault-drill`, as root.

    python -m tests.crash.disks [--seed N]

Accounts of the other shard must notice nothing; those of this one hear 451, 452 or [UNAVAILABLE], and nothing of
what anybody was promised is lost. A disk with room again needs nobody; ext4 that has aborted (as after an error of
its device) stays read-only until it is mounted anew, for which the platform is stopped.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.crash.drill import WORKERS, Drill
from tests.crash.faults import CLEAR
from tests.crash.power import Image, reason_to_skip

# Seconds of load before, in and after the trouble.
LOAD_S = 3.0
# A client that tries again hears a yes by then.
RECOVERY_S = 30.0
TROUBLED = "s2"


class DiskDrill(Drill):
    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder / "platform", seed, guests=0)
        path = next(each for each in self.shards if each.name == TROUBLED)
        self.image = Image(folder, "ext4", path)
        self.rig.call("shard", "adopt", TROUBLED, "--empty")
        self.lines: list[str] = []

    @property
    def healthy(self) -> set[str]:
        """Accounts of the other shard: made in turns (Drill)."""
        return set(self.scene.accounts[0::2])

    def full(self) -> None:
        """Every block is taken, those that only root may take too; then there is room again."""
        filler = self.image.mounted / "filler"
        with self.load():
            time.sleep(LOAD_S)
            with self.trouble("full"):
                fill(filler)
                time.sleep(LOAD_S)
            filler.unlink()
            self.recover("full")
        self.compare()

    def read_only(self) -> None:
        with self.load():
            time.sleep(LOAD_S)
            with self.trouble("read-only"):
                subprocess.run(["mount", "-o", "remount,abort", os.fspath(self.image.mounted)], check=True)
                time.sleep(LOAD_S)
        for index in range(WORKERS):
            self.nursery.stop(index)
            self.nursery.bury(index)
        self.image.unmount()
        self.image.mount()
        self.start_rest()
        self.compare()
        with self.load():
            self.recover("read-only")
        self.compare()

    @contextlib.contextmanager
    def trouble(self, name: str) -> Iterator[None]:
        seen, acknowledged = len(self.scene.refusals), self.ledger.counts["acknowledged"]
        yield
        refusals = self.scene.refusals[seen:]
        for account, reply in refusals:
            if set(account.split()) <= self.healthy:
                self.ledger.violated("unclear", f"{name}: {account} is in a healthy shard and heard {reply}")
            if not CLEAR.match(reply):
                self.ledger.violated("unclear", f"{name}: {account} heard {reply}")
        acknowledged = self.ledger.counts["acknowledged"] - acknowledged
        if not refusals or not acknowledged:
            self.scene.errors.append(
                f"{name}: {len(refusals)} refused, {acknowledged} acknowledged: no such trouble"
            )
        self.lines.append(
            f"{name}: {len(refusals)} refused in the shard, {acknowledged} acknowledged meanwhile"
        )
        heard = Counter(reply[:70] for _, reply in refusals)
        self.lines += [f"    said: {reply:<72}{count:>6}" for reply, count in sorted(heard.items())]

    def recover(self, name: str) -> None:
        """Until for a while nobody is refused."""
        began = time.monotonic()
        while time.monotonic() - began < RECOVERY_S:
            seen = len(self.scene.refusals)
            time.sleep(LOAD_S)
            if len(self.scene.refusals) == seen:
                self.lines.append(f"{name}: all is well after {time.monotonic() - began - LOAD_S:.0f} s")
                return
        self.ledger.violated("unclear", f"{name}: still refused: {self.scene.refusals[-1]}")

    def compare(self) -> None:
        """As it is, and once more after a kill: what was refused must not be half there."""
        self.inspected(deep=True)
        self.verify()
        for index in range(WORKERS):
            self.nursery.kill(index)
            self.nursery.bury(index)
        self.start_rest()
        self.inspected(deep=True)


def fill(path: Path) -> None:
    size = 1 << 30
    with open(path, "wb") as file:
        while size >= 4096:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError:
                size //= 2


@contextlib.contextmanager
def troubled(seed: int) -> Iterator[DiskDrill]:
    with tempfile.TemporaryDirectory(prefix="disk-drill.") as folder:
        drill = DiskDrill(Path(folder), seed)
        try:
            drill.prepare()
            drill.start_rest()
            yield drill
        finally:
            drill.nursery.close()
            drill.image.unmount()


def main() -> int:
    parser = argparse.ArgumentParser(prog="disk-drill")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    reason = reason_to_skip()
    if reason:
        print(f"disk-drill: {reason}", file=sys.stderr)
        return 1
    began = time.monotonic()
    with troubled(args.seed) as drill:
        drill.full()
        drill.read_only()
    print("\n".join(drill.lines))
    drill.print_table(time.monotonic() - began)
    print("\n".join(drill.ledger.stories + drill.scene.errors))
    return 1 if drill.scene.errors or drill.ledger.broken else 0


if __name__ == "__main__":
    sys.exit(main())
