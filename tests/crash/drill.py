"""`make crash-drill KILLS=1000`: workers under full load are killed, started again, and compared with the ledger.

    python -m tests.crash.drill [--kills N] [--seed N] [--folder DIR]

Two workers share both shards. Two of three times a worker is armed to die behind a named step, else it gets SIGKILL
at a random instant; half of the time the other one dies with it, as when the whole machine loses them. After each the
platform is inspected over IMAP. Every 20th round reads every message again and runs `shard verify`; every 40th stops
the platform, rebuilds both shards (each second time without their indexes) and inspects what the rebuild made.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.clients import (
    ARCHIVE,
    PASSWORD,
    WORK,
    Client,
    Mailbox,
    Postman,
    Reader,
    Scene,
    Sender,
    Writer,
)
from tests.crash.inspection import inspect
from tests.crash.ledger import Ledger
from tests.crash.workers import Nursery
from tests.rig import Rig

ACCOUNTS = 4
WORKERS = 2
# Accounts that are made by their first message.
GUESTS = 40
DEEP_EVERY, REBUILD_EVERY = 20, 40

# Longest load before a kill, seconds; an armed step that was not reached by then is a random kill.
LOAD_S = 0.7

# Steps that the load reaches (crash table in mailplat/store/__init__.py), and how often at most before death.
STEPS = {
    "append.write": 40, "append.fsync": 20, "append.syncfs": 2, "append.link": 10, "append.rename": 40,
    "append.dirsync": 20, "append.commit": 20, "index.apply": 40, "index.commit": 20, "copy.link": 10,
    "copy.commit": 4, "names.rename": 40, "names.dirsync": 4, "sweep.unlink": 2, "create.mkdir": 2,
    "create.dirsync": 2, "mailbox.write": 3, "mailbox.fsync": 3, "mailbox.rename": 3, "mailbox.dirsync": 3,
    "account.dirsync": 1, "account.write": 1, "account.fsync": 1, "account.rename": 1,
}  # fmt: skip

PROMISES = ("missing", "doubled", "half", "torn", "octets", "changed", "reused", "returned", "modseq", "uidvalidity",
            "flags", "date", "mailbox", "verify")  # fmt: skip


class Drill:
    def __init__(self, folder: Path, seed: int, guests: int, *, preload: Path | None = None) -> None:
        self.rng = random.Random(seed)
        self.rig = Rig(folder)
        self.kills: Counter[str] = Counter()
        self.ledger = Ledger()
        accounts = [f"user{number}@example.test" for number in range(ACCOUNTS)]
        strangers = [f"guest{number}@example.test" for number in range(guests)]
        self.scene = Scene(self.ledger, self.rig.ports, accounts, strangers)
        self.nursery = Nursery(self.rig, WORKERS, preload)
        self.rig.call("domain", "add", "example.test")
        for number, address in enumerate([*accounts, *strangers]):
            home = f"shard:s{number % 2 + 1}"
            self.rig.call("account", "add", address, "--hash", "{PLAIN}" + PASSWORD, "--home", home)
        self.shards = [Path(each["path"]) for each in self.rig.query("shard", "list")]

    def prepare(self) -> None:
        self.nursery.start(0)
        for account in self.scene.accounts:
            mailbox = Mailbox(self.scene, account)
            for name in (WORK, ARCHIVE):
                mailbox.must(b"CREATE " + name.encode())
            mailbox.imap.close()

        self.stop_all()

    def round(self, number: int) -> None:
        """Start who is dead, inspect, load, kill."""
        deep = number % DEEP_EVERY == DEEP_EVERY - 1
        if number and number % REBUILD_EVERY == 0:
            self.rebuild(bare=number // REBUILD_EVERY % 2 == 0)
        armed = self.start_missing()
        if not self.inspected(deep=deep):
            return
        if deep:
            self.verify()
        victim = next(iter(armed), None)
        if victim is None:
            victim = self.rng.randrange(WORKERS)
        with self.load():
            died = self.nursery.ended(victim, self.rng.uniform(0.05, LOAD_S) if not armed else LOAD_S * 1.5)
            victims = {victim} if self.rng.random() < 0.5 else set(range(WORKERS))
            for index in victims - ({victim} if died else set()):
                self.nursery.kill(index)
        for index in victims:
            self.bury(index, armed.get(index, ""))

    def start_missing(self) -> dict[int, str]:
        """Which worker is armed, and where."""
        armed: dict[int, str] = {}
        missing: dict[int, str] = {}
        for index in range(WORKERS):
            if index in self.nursery.workers:
                continue
            step = ""
            if not armed and self.rng.random() < 0.67:
                name = self.rng.choice(list(STEPS))
                step = armed[index] = f"{name}:{self.rng.randint(1, STEPS[name])}"
            missing[index] = step
        self.nursery.start_all(missing)
        return armed

    def inspected(self, *, deep: bool = False, rebuilt: bool = False) -> bool:
        """False when an armed worker died of the inspection, so that it has to be done again."""
        try:
            inspect(self.scene, self.queued, deep=deep, rebuilt=rebuilt)
        except OSError:
            dead = [index for index in list(self.nursery.workers) if self.nursery.ended(index, 2.0)]
            if not dead:
                raise
            for index in dead:
                self.bury(index, "while inspected")
            return False
        return True

    def queued(self) -> Counter[str]:
        try:
            entries = self.rig.query("queue", "list")
        except RuntimeError as error:
            if "exit status 3" not in str(error):
                raise
            entries = []  # nothing matched
        return Counter(entry["recipient"] for entry in entries)

    def bury(self, index: int, armed: str) -> None:
        status = self.nursery.bury(index)
        if status != -signal.SIGKILL:
            self.scene.errors.append(f"worker {index} ended with status {status}, not by a kill")
        self.kills[armed.partition(":")[0] or "at random"] += 1

    @contextmanager
    def load(self) -> Iterator[None]:
        stop = threading.Event()
        kinds: list[type[Client]] = [Sender, Sender, Postman, Postman, Writer, Writer, Writer, Reader]
        clients = [
            kind(self.scene, number, random.Random(self.rng.random()), stop)
            for number, kind in enumerate(kinds)
        ]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            stop.set()
            for client in clients:
                client.join(60.0)
                if client.is_alive():
                    self.scene.errors.append(f"{client.name} hangs")

    def verify(self) -> None:
        """Beside the running platform."""
        for shard in ("s1", "s2"):
            done = self.rig.attempt("shard", "verify", shard, "--json")
            self.ledger.counts["verified"] += 1
            if done.returncode:
                self.ledger.violated("verify", f"{shard}: {done.stdout} {done.stderr}")

    def rebuild(self, *, bare: bool) -> None:
        """`bare`: from the files alone."""
        if not self.stop_all():
            return
        for path in self.shards:
            if bare:
                for each in path.glob("index.db*"):
                    each.unlink()
            done = self.rig.attempt("shard", "rebuild", path.name)
            self.ledger.counts["rebuilt without index" if bare else "rebuilt"] += 1
            if done.returncode:
                self.ledger.violated("verify", f"rebuild of {path.name}: {done.stderr}")
        self.nursery.start(0)
        self.inspected(deep=True, rebuilt=True)

    def start_rest(self) -> None:
        """Nobody armed."""
        self.nursery.start_all({index: "" for index in range(WORKERS) if index not in self.nursery.workers})

    def stop_all(self) -> bool:
        """Settled by an inspection, then stopped in order: False when a worker died instead."""
        self.start_rest()
        if not self.inspected():
            return False
        clean = True
        for index in range(WORKERS):
            self.nursery.stop(index)
        for index in range(WORKERS):
            status = self.nursery.bury(index)
            if status == -signal.SIGKILL:
                self.kills["at the stop"] += 1
                clean = False
        return clean

    def run(self, kills: int, *, patient: bool = True) -> int:
        """Until so many kills; 1 when a promise broke. Not `patient`: at the end nobody waits for the queue, where
        what a killed worker had leased stays for a minute (queue.LEASE_S); it counts as being there."""
        self.prepare()
        began = shown = time.monotonic()
        number = 0
        while self.kills.total() < kills and not self.scene.errors:
            told = len(self.ledger.stories)
            self.round(number)
            number += 1
            for story in self.ledger.stories[told:]:
                print(f"BROKEN {story}", flush=True)
            if time.monotonic() - shown > 5.0:
                shown = time.monotonic()
                print(
                    f"{self.kills.total()}/{kills} kills, {self.ledger.counts['acknowledged']} acknowledged,"
                    f" {self.ledger.broken.total()} broken promises, {shown - began:.0f} s",
                    flush=True,
                )
        while not self.scene.errors and not self.last_look(patient=patient):
            time.sleep(0.5)
        self.nursery.close()
        self.print_table(time.monotonic() - began)
        return 1 if self.scene.errors or self.ledger.broken else 0

    def last_look(self, *, patient: bool) -> bool:
        self.start_rest()
        return not (patient and self.queued()) and self.inspected(deep=True)

    def print_table(self, seconds: float) -> None:
        for error in self.scene.errors:
            print(f"ERROR {error}")
        print(f"\n{'killed':<40}")
        for name, count in sorted(self.kills.items()):
            print(f"  {name:<38}{count:>8}")
        print(f"{'done':<40}")
        for name, count in sorted(self.ledger.counts.items()):
            print(f"  {name:<38}{count:>8}")
        print(f"{'promises broken':<40}")
        for name in dict.fromkeys((*PROMISES, *self.ledger.broken)):
            print(f"  {name:<38}{self.ledger.broken[name]:>8}")
        print(
            f"{self.kills.total()} kills in {seconds:.0f} s: {'FAILED' if self.ledger.broken else 'all kept'}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="crash-drill")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    args = parser.parse_args()
    print(json.dumps({"kills": args.kills, "seed": args.seed}), flush=True)
    with tempfile.TemporaryDirectory(prefix="crash-drill.") as temporary:
        folder = args.folder or Path(temporary)
        return Drill(folder / "platform", args.seed, guests=min(args.kills // 20 + 2, GUESTS)).run(args.kills)


if __name__ == "__main__":
    sys.exit(main())
