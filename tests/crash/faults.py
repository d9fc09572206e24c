"""`make fault-drill`: each durable system call in turn is the last one, or fails; then the platform is compared.

    python -m tests.crash.faults [--every N] [--seed N]

One worker runs a script of every verb that changes something (script.py). Its system calls pass a gate (gate.py) that
counts them over all threads, SQLite's own among them:

    kill        each fsync, fdatasync, syncfs, rename, link, unlink, mkdir in turn never happens: SIGKILL instead;
                then the same while a killed platform starts again
    sync        each fsync fails once with EIO, and the worker lives on
    sync, kill  the same, and it is killed as soon as somebody was refused: what nobody was promised may be on disk
    name        each rename, link, mkdir, unlink fails once, in turns with EIO and ENOSPC
    write       each write fails once with ENOSPC
    full, dead  from the Nth call on all writes fail with ENOSPC, all syncs with EIO, until the script is through
    read-only   from the Nth call on all that changes one of the two shards fails with EROFS

Of a fault that is over, the next command must know nothing. Every refusal says that it may be tried again: 451, 452,
NO [UNAVAILABLE]. disks.py, which `make fault-drill` runs too, has whole filesystems that fail.
"""

import argparse
import errno
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import gate
from tests.crash.drill import PROMISES, Drill
from tests.crash.gate import Call, Verdict
from tests.crash.script import Script, Told

# What a client may be told while a fault lasts: that it may try again.
CLEAR = re.compile(r"45[12] 4\.|NO \[UNAVAILABLE\]")

# Without a call for so long a worker has settled what the script left to its background.
QUIET_S = 0.2
SETTLED_S = 5.0

STOP_S = 20.0

# Accounts that are made by a delivery: one for each run, as far as they go.
GUESTS = 60

_NUMBERS = re.compile(r"\d+")
_QUEUE_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{16}")
_PLACES = ("cur", "new", "tmp", "queue", "vault")


@dataclass(frozen=True, slots=True)
class Fault:
    """`errors` in turns, empty: the process is killed. `lasting`: until it is healed. `patient`: the script goes on
    after a refusal. `files`: a pattern for the paths that are meant, else all."""

    name: str
    calls: Collection[str]
    errors: Sequence[int] = ()
    lasting: bool = False
    patient: bool = True
    stride: int = 1
    files: str = ""

    def means(self, call: Call) -> bool:
        return call.name in self.calls and re.search(self.files, call.path) is not None


DURABLE = (*gate.SYNCS, *gate.NAMES, *gate.REMOVALS)
READ_ONLY = (*DURABLE, *gate.WRITES, *gate.OPENS)
FAULTS = (
    Fault("kill", DURABLE),
    Fault("sync", gate.SYNCS, (errno.EIO,)),
    Fault("sync, kill", gate.SYNCS, (errno.EIO,), patient=False),
    Fault("name", (*gate.NAMES, *gate.REMOVALS), (errno.EIO, errno.ENOSPC)),
    Fault("write", gate.WRITES, (errno.ENOSPC,), stride=2),
    Fault("full", gate.WRITES, (errno.ENOSPC,), lasting=True, stride=11),
    Fault("dead", gate.SYNCS, (errno.EIO,), lasting=True, stride=5),
    Fault("read-only", READ_ONLY, (errno.EROFS,), lasting=True, stride=7, files="/s2/"),
)


class Trigger:
    """The judge: lets all pass but the Nth of some calls."""

    def __init__(self) -> None:
        self.last = 0.0
        self.hit = ""  # the call, and what kind of file
        self.seen = 0
        self._fault: Fault | None = None
        self._left = 0
        self._error = 0
        self._lock = threading.Lock()

    def arm(self, fault: Fault, nth: int) -> None:
        with self._lock:
            self._fault, self._left, self.hit, self.seen = fault, nth, "", 0
            self._error = fault.errors[nth % len(fault.errors)] if fault.errors else 0

    def heal(self) -> None:
        with self._lock:
            self._fault = None

    def __call__(self, call: Call) -> Verdict | int:
        if call.path.endswith(".log"):
            return Verdict.PASS
        self.last = time.monotonic()
        with self._lock:
            if self._fault is None or not self._fault.means(call):
                return Verdict.PASS
            self.seen += 1
            self._left -= 1
            if self._left > 0 or (self._left < 0 and not self._fault.lasting):
                return Verdict.PASS
            self.hit = self.hit or f"{call.name} {kind(call.path)}"
            return self._error or Verdict.KILL


def kind(path: str) -> str:
    """Which file it is of those that are alike."""
    *folders, last = path.removesuffix(" (deleted)").split("/")
    if _QUEUE_ID.fullmatch(last) or ",S=" in last or ".M" in last:
        last = "message"
    place = [name for name in folders[-1:] if name in _PLACES]
    return "/".join([*place, _NUMBERS.sub("N", last)])


@dataclass
class Row:
    """One line of the table."""

    fired: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)  # nobody was told
    broken: int = 0
    seconds: float = 0.0


class FaultDrill(Drill):
    def __init__(self, folder: Path, seed: int, guests: int = GUESTS) -> None:
        super().__init__(folder, seed, guests)
        self.trigger = Trigger()
        self.script = Script(self.scene, self.rng)
        self.rows: dict[str, Row] = {}

    def walk(self, fault: Fault, first: int = 1, stride: int = 1) -> None:
        """The Nth call fails, N from `first` on, until the script runs through without it."""
        nth = first
        while not self.scene.errors and self.step(fault, nth):
            nth += stride * fault.stride

    def step(self, fault: Fault, nth: int) -> bool:
        """False when there was no Nth call."""
        row = self.rows.setdefault(fault.name, Row())
        began, before = time.monotonic(), self.ledger.broken.total()
        told = self.once(fault, nth)
        row.seconds += time.monotonic() - began
        row.broken += self.ledger.broken.total() - before
        if not self.trigger.hit:
            return False
        row.fired[self.trigger.hit] += 1
        row.refusals.update(reply for _, reply in told.refused)
        if not told.refused and not told.cut:
            row.silent[self.trigger.hit] += 1
        return True

    def once(self, fault: Fault, nth: int) -> Told:
        """Start, compare what the last fault left, run the script under the next one."""
        self.trigger.heal()
        self.nursery.start(0, judge=self.trigger)
        self.script.settle_rename()
        self.inspected()
        self.trigger.arm(fault, nth)
        told = self.script.run(patient=fault.patient)
        if not fault.errors:
            self.stop_at_leisure()
        elif told.cut:
            self.unclear(fault, f"{self.trigger.hit}: the connection was cut: {told.cut}")
        else:
            self.check(fault, told)
        self.end()
        return told

    def check(self, fault: Fault, told: Told) -> None:
        """The worker lives. Refusals are clear, and what is over is over."""
        for verb, reply in told.refused:
            if not CLEAR.match(reply):
                self.unclear(fault, f"{self.trigger.hit}: {verb}: {reply}")
        if not fault.patient:
            return
        if not fault.lasting and len(told.refused) > 1:
            self.unclear(fault, f"{self.trigger.hit}: one fault, and refused were {told.refused}")
        if fault.lasting:
            self.trigger.heal()
            after = self.script.run()
            if after.refused or after.cut:
                self.unclear(fault, f"{self.trigger.hit}: after it was healed: {after.refused} {after.cut}")

    def unclear(self, fault: Fault, story: str) -> None:
        self.ledger.violated("unclear", f"{fault.name}: {story}")

    def stop_at_leisure(self) -> None:
        """What the background does after the script, and a stop in order, may be the end too."""
        deadline = time.monotonic() + SETTLED_S
        while time.monotonic() < deadline and time.monotonic() - self.trigger.last < QUIET_S:
            if self.nursery.ended(0, QUIET_S / 4):
                return
        if not self.nursery.ended(0):
            self.nursery.stop(0)
            if not self.nursery.ended(0, STOP_S):
                self.scene.errors.append("a worker does not stop")

    def end(self) -> None:
        if not self.nursery.ended(0):
            self.nursery.kill(0)
        self.nursery.bury(0)

    def walk_start(self, stride: int = 1) -> None:
        """A platform that was killed starts again, and is killed at each call of that in turn."""
        made = {"mkdir", "mkdirat"}  # folders that are there: nothing happens but EEXIST
        fault = Fault("kill at start", [name for name in DURABLE if name not in made])
        row = self.rows.setdefault(fault.name, Row())
        began, nth, before = time.monotonic(), 1, self.ledger.broken.total()
        self.once(Fault("", DURABLE), 10)
        while not self.scene.errors:
            self.trigger.arm(fault, nth)
            self.nursery.start(0, judge=self.trigger)
            with_end = self.nursery.ended(0, 1.0)  # what the background finds to do
            self.end()
            if not with_end:
                break
            row.fired[self.trigger.hit] += 1
            nth += stride
        self.last_inspection()
        row.broken += self.ledger.broken.total() - before
        row.seconds += time.monotonic() - began

    def last_inspection(self) -> None:
        self.trigger.heal()
        self.nursery.start(0, judge=self.trigger)
        self.script.settle_rename()
        self.inspected(deep=True)
        self.verify()
        self.end()

    def print_rows(self) -> None:
        for story in self.ledger.stories[:40]:
            print(f"BROKEN {story}")
        for error in self.scene.errors:
            print(f"ERROR {error}")
        for name, row in self.rows.items():
            print(f"\n{name}: {row.fired.total()} calls, {row.broken} broken promises, {row.seconds:.0f} s")
            for what, count in sorted(row.fired.items()):
                quiet = f", {row.silent[what]} of them unnoticed by clients" if row.silent[what] else ""
                print(f"  {what:<48}{count:>5}{quiet}")
            for reply, count in sorted(row.refusals.items()):
                print(f"    said: {reply[:80]:<80}{count:>5}")
        print(f"\n{'acknowledged':<40}{self.ledger.counts['acknowledged']:>8}")
        print(f"{'messages compared':<40}{self.ledger.counts['messages compared']:>8}")
        for name in dict.fromkeys((*PROMISES, "unclear", *self.ledger.broken)):
            print(f"broken: {name:<32}{self.ledger.broken[name]:>8}")

    @property
    def failed(self) -> bool:
        return bool(self.scene.errors or self.ledger.broken)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fault-drill")
    parser.add_argument("--every", type=int, default=1, help="each so many-th call only")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="*", default=[fault.name for fault in FAULTS])
    parser.add_argument("--disks", action="store_true", help="also disks.py")
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    args = parser.parse_args()
    reason = gate.reason_to_skip()
    if reason:
        print(f"fault-drill: {reason}", file=sys.stderr)
        return 1
    print(f"seed {args.seed}", flush=True)
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="fault-drill.") as temporary:
        drill = FaultDrill((args.folder or Path(temporary)) / "platform", args.seed)
        try:
            drill.prepare()
            for fault in FAULTS:
                if fault.name in args.only:
                    drill.walk(fault, rng.randint(1, args.every), args.every)
                    print(f"{fault.name}: {drill.rows[fault.name].fired.total()} calls", flush=True)
            drill.walk_start(args.every)
        finally:
            drill.nursery.close()
            drill.print_rows()
    status = 1 if drill.failed else 0
    if args.disks:
        done = subprocess.run(
            [sys.executable, "-m", "tests.crash.disks", "--seed", str(args.seed)], check=False
        )
        status |= done.returncode
    print(f"fault-drill: {'FAILED' if status else 'all kept'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
