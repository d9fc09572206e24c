"""`make soak MINUTES=60`: constant load for so long, samples, and a verdict.

    python -m tests.soak [--minutes M] [--every SECONDS] [--pause SECONDS] [--seed N] [--results DIR] [--folder DIR]

Ends with status 1 when a client was refused or cut, mail is not what the ledger says, `shard verify` finds a
difference, a worker ended, or a curve rises (verdict.py). DIR gets soak.json and the pictures.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.crash.clients import ARCHIVE, INBOX, PASSWORD, WORK, Mailbox, Scene
from tests.crash.inspection import inspect
from tests.crash.ledger import Ledger
from tests.crash.letters import letter
from tests.rig import Rig
from tests.soak import sample
from tests.soak.load import CLIENTS, HERALDS
from tests.soak.picture import draw_sizes, draw_times
from tests.soak.sample import Clock, Sample, Verb
from tests.soak.verdict import Trend, tail, trends, verbs

ACCOUNTS, WORKERS = 50, 2
SHARDS = ("s1", "s2")
# From one thing of a client to its next, on average: some 170 calls a second, a third of what two cores can do.
PAUSE_S = 0.5
# Messages that a mailbox begins with and is kept at, and of which it remembers that they went.
ENOUGH, TOMBSTONES = 30, 20
# The vault keeps mail for this part of the run, so that it is level after the first third.
VAULT_PART = 1 / 8
# How long the platform may take to start, and a client to end, where others have the machine too.
PATIENCE_S = 180.0

_MB = 2**20

console = Console(width=118)


class Soak:
    def __init__(
        self,
        folder: Path,
        seconds: float,
        seed: int,
        *,
        pause: float = PAUSE_S,
        enough: int = ENOUGH,
        population: int = ACCOUNTS,
    ) -> None:
        self.seconds = seconds
        self.rng = random.Random(seed)
        settings = {
            "MAILPLAT_LOG__LEVEL": "warning",
            "MAILPLAT_PLATFORM__WORKERS": str(WORKERS),
            "MAILPLAT_VAULT__DAYS": str(seconds * VAULT_PART / 86_400),
            "MAILPLAT_STORE__TOMBSTONES": str(TOMBSTONES),
        }
        self.rig = Rig(folder, environment=settings)
        self.clock = Clock()
        self.samples: list[Sample] = []
        self.errors: list[str] = []
        self.trends: list[Trend] = []
        accounts = [f"user{number}@example.test" for number in range(population)]
        ledger = Ledger()
        self.scene = Scene(ledger, self.rig.ports, accounts, timed=self.clock.add, pause=pause, enough=enough)
        self.rig.call("domain", "add", "example.test")
        for number, address in enumerate([*accounts, *(f"idle{each}@example.test" for each in HERALDS)]):
            home = f"shard:{SHARDS[number % 2]}"
            self.rig.call("account", "add", address, "--hash", "{PLAIN}" + PASSWORD, "--home", home)
        self.paths = {Path(each["path"]).name: Path(each["path"]) for each in self.rig.query("shard", "list")}

    def run(self, every: float) -> bool:
        """Whether every promise was kept. A sample each `every` seconds."""
        try:
            self.rig.start(within=PATIENCE_S)
            self.prepare()
            self.load(every)
            inspect(self.scene, self.queued, deep=True)
        finally:
            status = self.rig.stop()
        if status:
            self.errors.append(f"serve ended with status {status}")
        for name in self.paths:
            done = self.rig.attempt("shard", "verify", name, "--json")
            if done.returncode:
                self.errors.append(f"verify of {name}: {done.stdout} {done.stderr}")
        self.judge()
        return not self.errors and all(each.level for each in self.trends)

    def prepare(self) -> None:
        """Mailboxes as full as they will stay."""
        ledger = self.scene.ledger
        for account in self.scene.accounts:
            mailbox = Mailbox(self.scene, account)
            for name in (INBOX, WORK, ARCHIVE):
                if name != INBOX:
                    mailbox.must(b"CREATE " + name.encode())
                tokens = [ledger.token() for _ in range(self.scene.enough)]
                octets = [letter(token, self.rng) for token in tokens]
                mailbox.append(ledger.box(account, name), octets, tokens, frozenset())
            mailbox.imap.close()
        self.clock.take()

    def load(self, every: float) -> None:
        stop = threading.Event()
        clients = [
            kind(self.scene, number, random.Random(self.rng.random()), stop)
            for number, kind in enumerate(CLIENTS)
        ]
        assert self.rig.process is not None
        pids = sample.workers(self.rig.process.pid)
        for client in clients:
            client.start()
        began = time.monotonic()
        try:
            while time.monotonic() - began < self.seconds and not self.scene.errors:
                left = self.seconds - (time.monotonic() - began)
                stop.wait(min(every, left))
                self.samples.append(self.look(time.monotonic() - began))
                self.tell(self.samples[-1])
                if (now := sample.workers(self.rig.process.pid)) != pids:
                    self.errors.append(f"workers were {pids} and are {now}")
                    break
        finally:
            stop.set()
            for client in clients:
                client.join(PATIENCE_S)
                if client.is_alive():
                    self.errors.append(f"{client.name} hangs")

    def look(self, seconds: float) -> Sample:
        assert self.rig.process is not None
        times = self.clock.take()
        platform = next(self.rig.root.rglob("mailplat.db"))
        return Sample(
            seconds,
            {verb: Verb.of(times[verb]) for verb in sorted(times)},
            {pid: sample.process(pid) for pid in sample.workers(self.rig.process.pid)},
            {name: sample.shard(path) for name, path in self.paths.items()},
            {each.name: sample.octets(each) for each in (platform, Path(f"{platform}-wal"))},
        )

    def tell(self, now: Sample) -> None:
        calls = sum(verb.count for verb in now.verbs.values())
        slowest = max(now.verbs.items(), key=lambda item: item[1].p99, default=("", Verb(0, 0, 0)))
        console.print(
            f"{now.seconds / 60:6.1f} min  {calls:6} calls  slowest p99 {slowest[1].p99:7.1f} ms ({slowest[0]})"
            f"  RSS {'+'.join(f'{each.rss / _MB:.0f}' for each in now.workers.values())} MB"
            f"  index {'+'.join(f'{each.index / _MB:.1f}' for each in now.shards.values())} MB"
            f"  log {'+'.join(f'{each.wal / _MB:.0f}' for each in now.shards.values())} MB"
            f"  vault {sum(each.rows['vault'] for each in now.shards.values())}",
            highlight=False,
        )

    def queued(self) -> Counter[str]:
        done = self.rig.attempt("queue", "list", "--json")
        if done.returncode == 3:  # nothing matched
            return Counter()
        return Counter(entry["recipient"] for entry in json.loads(done.stdout))

    def judge(self) -> None:
        ledger = self.scene.ledger
        self.errors += self.scene.errors
        self.errors += [f"refused: {account}: {reply}" for account, reply in self.scene.refusals]
        self.errors += [f"broken: {story}" for story in ledger.stories]
        self.errors += [f"cut: {story}" for story in self.scene.cuts]
        self.trends = trends(self.samples)


def show(soak: Soak) -> None:
    samples = soak.samples
    table = Table(title="p50 and p99 in milliseconds: first sample, and medians of the last two thirds")
    for name in ("", "calls", "p50 first", "p50", "p99 first", "p99"):
        table.add_column(name, justify="left" if not name else "right")
    late = tail(samples)
    for verb in sorted({name for each in samples for name in each.verbs}):
        some = [each.verbs[verb] for each in late if verb in each.verbs]
        first = next(each.verbs[verb] for each in samples if verb in each.verbs)
        calls = sum(each.verbs[verb].count for each in samples if verb in each.verbs)
        table.add_row(
            verb,
            f"{calls:,}",
            f"{first.p50:.1f}",
            f"{_median([each.p50 for each in some]):.1f}",
            f"{first.p99:.1f}",
            f"{_median([each.p99 for each in some]):.1f}",
        )
    console.print(table)
    for trend in soak.trends:
        console.print(
            f"{'level ' if trend.level else 'RISES '} {trend.name:<28} mean {_amount(trend.mean, trend.unit)},"
            f" by {_amount(trend.rise, trend.unit)}; allowed {_amount(trend.allowed, trend.unit)}",
            highlight=False,
        )
    if not soak.trends:
        console.print(f"{len(samples)} samples: too few for a trend")
    for name, count in sorted(soak.scene.ledger.counts.items()):
        console.print(f"  {name:<38}{count:>10,}", highlight=False)
    for error in soak.errors[:40]:
        console.print(f"ERROR {error}", highlight=False)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _amount(value: float, unit: str) -> str:
    return f"{value / _MB:.2f} MB" if unit == "octets" else f"{value:.1f} {unit}"


def keep(soak: Soak, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "minutes": soak.seconds / 60,
        "samples": [each.json() for each in soak.samples],
        "trends": [vars(each) | {"level": each.level} for each in soak.trends],
        "verbs": verbs(soak.samples),
        "counts": soak.scene.ledger.counts,
        "errors": soak.errors,
    }
    (folder / "soak.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "soak-times.svg").write_text(draw_times(soak.samples))
    (folder / "soak-sizes.svg").write_text(draw_sizes(soak.samples))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--every", type=float, help="seconds between samples; default: 60, or a 20th of the run"
    )
    parser.add_argument("--pause", type=float, default=PAUSE_S)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--results", type=Path, default=Path("bench-results"))
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary one")
    args = parser.parse_args()
    seconds = args.minutes * 60
    console.print(json.dumps({"minutes": args.minutes, "seed": args.seed, "cores": os.cpu_count()}))
    with tempfile.TemporaryDirectory(prefix="mailplat-soak-", dir=args.folder) as name:
        soak = Soak(Path(name) / "platform", seconds, args.seed, pause=args.pause)
        kept = soak.run(args.every or min(60.0, seconds / 20))
    show(soak)
    keep(soak, args.results)
    broken = [each.name for each in soak.trends if not each.level]
    console.print(
        f"{args.minutes:g} minutes: all kept"
        if kept
        else f"{args.minutes:g} minutes: FAILED, {len(soak.errors)} errors, rising: {', '.join(broken) or 'nothing'}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
