"""`make repair-bench`: how long verify and rebuild of a shard take. Limits for 100,000 messages: 20 and 120 s.

    python -m tests.bench.repair [--messages 100000] [--accounts 100] [--folder DIR]

The shard is filled through the store's door, then verified, rebuilt with its index, and rebuilt without one, as
`mailplat shard` does it. Wall clock, CPU seconds of this process and its children, and its largest resident set.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mailplat.core.executors import Executors
from mailplat.core.hint import Hint
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store import NewMessage, Report, Store
from mailplat.store.repair import rebuild, verify
from tests.letters import letter

# Messages of one append while filling.
BATCH = 500
# Different letters; each message has a line of its own besides.
LETTERS = 500

# Seconds for each 100,000 messages.
LIMITS = {"verify": 20.0, "rebuild": 120.0, "rebuild, no index": 120.0}

console = Console()


class Deaf:
    def publish(self, hint: Hint) -> None:
        pass


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "s1"
        self.executors = Executors()
        self.table = Table("step", "seconds", "limit", "CPU", "MB at most", "messages")
        self.failed = False

    def open(self) -> Store:
        return Store({"s1": self.path}, self.executors, Deaf(), upkeep=False)  # type: ignore[arg-type]

    async def fill(self, messages: int, accounts: int) -> None:
        store = self.open()
        shard = store.shard("s1")
        letters = [letter(n, "ann@example.test", "bob@example.test") for n in range(LETTERS)]
        for account_id in range(1, accounts + 1):
            home = Residence(account_id, "s1", 1)
            shard.grant(account_id, 1)
            shard.create(home, "Archive")
            left = messages // accounts
            for start in range(0, left, BATCH):
                batch = [
                    NewMessage(
                        Body.of(b"X-Number: %d %d\r\n" % (account_id, n) + letters[n % LETTERS]),
                        flags=("\\Seen", "Work") if n % 3 else (),
                        internaldate=1_600_000_000 + n,
                    )
                    for n in range(start, min(start + BATCH, left))
                ]
                await store.append(home, "Archive" if start // BATCH % 2 else "INBOX", batch)
        shard.settle_names()
        store.close()

    def measure(self, name: str, work: Callable[[], Report], messages: int) -> None:
        before, began = cpu(), time.monotonic()
        report = work()
        seconds, used = time.monotonic() - began, cpu() - before
        limit = LIMITS[name] * max(messages, 1000) / 100_000
        self.failed |= seconds > limit or report.messages != messages
        largest = max(resource.getrusage(who).ru_maxrss for who in _WHO) // 1024
        self.table.add_row(
            name, f"{seconds:.1f}", f"{limit:.0f}", f"{used:.1f}", str(largest), str(report.messages)
        )
        for problem in report.problems[:5]:
            console.print(problem)

    def verify(self) -> Report:
        store = self.open()
        try:
            return verify(store.shard("s1"))
        finally:
            store.close()

    def rebuild(self) -> Report:
        with self.open().mending("s1") as shard:
            return rebuild(shard)


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def cpu() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, _WHO))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.repair")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument(
        "--folder", type=Path, help="where; default: a temporary one. A shard there is used as it is"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repair-bench.") as folder:
        bench = Bench(args.folder or Path(folder))
        count = args.messages // args.accounts * args.accounts
        if not bench.path.exists():
            began = time.monotonic()
            asyncio.run(bench.fill(args.messages, args.accounts))
            console.print(f"filled in {time.monotonic() - began:.0f} s")
        bench.measure("verify", bench.verify, count)
        bench.measure("rebuild", bench.rebuild, count)
        for path in bench.path.glob("index.db*"):
            path.unlink()
        bench.measure("rebuild, no index", bench.rebuild, count)
        bench.measure("verify", bench.verify, count)
        bench.executors.close()
    console.print(bench.table)
    return int(bench.failed)


if __name__ == "__main__":
    sys.exit(main())
