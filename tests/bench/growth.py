"""`make growth`: what a login, an append and a FETCH of 20 cost as a mailbox and the number of accounts grow.

    python -m tests.bench.growth [--messages 1000,100000,1000000] [--accounts 10,1000,100000] [--picture FILE]

All is measured through the IMAP door of a running platform with one worker, as a client waits for it: the median of
many, in milliseconds. The mailboxes are filled through the store's door, durably.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.route import Residence, ShardHome
from mailplat.core.spool import Body
from mailplat.store import NewMessage
from mailplat.wire.smtp.address import parse_address
from tests.bench.picture import draw
from tests.e2e.wire import Wire
from tests.rig import Rig

DOMAIN, PASSWORD = "growth.test", "pass"
SHARD = "s1"
# Logins, appends and fetches of which the median is taken.
SAMPLES = 60
# Messages of one append while filling.
BATCH = 1000
# Accounts are made by so many threads, that wait for the disk together.
THREADS = 32
# Of these accounts samples are taken; each has 20 messages.
ASKED = 60

console = Console()


@dataclass
class Row:
    """Milliseconds, medians."""

    size: int
    login: float
    select: float
    append: float
    fetch: float
    filled: float  # messages or accounts made a second, for information


def letter(number: int) -> bytes:
    """About 1 KiB, with what an ENVELOPE needs."""
    return (
        f"From: Sender {number} <sender{number}@elsewhere.test>\r\nTo: user@{DOMAIN}\r\n"
        f"Subject: letter {number} of many\r\nMessage-ID: <{number}@elsewhere.test>\r\n"
        f"Date: Tue, 24 Nov 2026 06:15:00 +0000\r\n\r\n"
    ).encode() + b"a line of a letter that says little\r\n" * 22


def address(number: int) -> str:
    return f"user{number}@{DOMAIN}"


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measure(rig: Rig, users: Sequence[str], size: int, filled: float) -> Row:
    """Each sample is another of `users`, or again the same one."""
    logins, selects, appends, fetches = [], [], [], []
    octets = letter(0)
    for number in range(SAMPLES):
        wire = Wire(rig.ports["imap"])
        user = users[number % len(users)]
        logins.append(milliseconds(lambda wire=wire, user=user: _login(wire, user)))  # type: ignore[misc]
        selects.append(milliseconds(lambda wire=wire: _ok(wire.tagged(b"SELECT INBOX"))))  # type: ignore[misc]
        appends.append(milliseconds(lambda wire=wire: _append(wire, octets)))  # type: ignore[misc]
        newest = _newest(wire)
        fetches.append(milliseconds(lambda wire=wire, newest=newest: _fetch(wire, newest)))  # type: ignore[misc]
        wire.close()
    return Row(size, *(statistics.median(each) for each in (logins, selects, appends, fetches)), filled)


def _login(wire: Wire, user: str) -> None:
    _ok(wire.tagged(f"LOGIN {user} {PASSWORD}".encode()))


def _append(wire: Wire, octets: bytes) -> None:
    wire.send(b"x APPEND INBOX {%d+}\r\n" % len(octets) + octets + b"\r\n")
    while not (line := wire.line()).startswith("x "):
        if not line:
            raise SystemExit("the connection was closed during APPEND")
    _ok(line)


def _newest(wire: Wire) -> int:
    wire.send(b"x STATUS INBOX (MESSAGES)\r\n")
    found = 0
    while not (line := wire.line()).startswith("x "):
        if "MESSAGES" in line:
            found = int(line.rstrip(")\r\n").split()[-1])
    return found


def _fetch(wire: Wire, newest: int) -> None:
    lines = 0
    wire.send(
        b"x FETCH %d:%d (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)\r\n" % (max(1, newest - 19), newest)
    )
    while not (line := wire.line()).startswith("x "):
        lines += "ENVELOPE" in line
    if lines != min(20, newest):
        raise SystemExit(f"{lines} messages came of {min(20, newest)}: {line}")


def _ok(line: str) -> None:
    if not line.startswith("x OK"):
        raise SystemExit(f"refused: {line}")


def prepared(root: Path) -> Rig:
    """Stopped, one domain."""
    rig = Rig(root, "mx.growth.test", environment={"MAILPLAT_LOG__LEVEL": "warning"})
    rig.call("domain", "add", DOMAIN)
    return rig


def mailboxes(root: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """One mailbox that grows."""
    rig = prepared(root)
    rig.call("account", "add", address(0), "--hash", "{PLAIN}" + PASSWORD, "--home", f"shard:{SHARD}")
    there = 0
    for size in sizes:
        platform = Platform(load(rig.config, rig.environment))
        account = platform.directory.account(parse_address(address(0)))
        home = Residence(account.id, SHARD, platform.directory.route(account.id).epoch)
        began = time.monotonic()
        asyncio.run(fill(platform, home, there, size))
        rate = (size - there) / (time.monotonic() - began)
        platform.close()
        rig.start()
        try:
            yield measure(rig, [address(0)], size, rate)
        finally:
            rig.stop()
        there = size + SAMPLES


async def fill(platform: Platform, home: Residence, first: int, last: int) -> None:
    for start in range(first, last, BATCH):
        batch = [NewMessage(Body.of(letter(number))) for number in range(start, min(start + BATCH, last))]
        await platform.store.append(home, "INBOX", batch)


def populations(root: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Accounts of one shard, each with its INBOX; some of them, anywhere among them, are asked."""
    rig = prepared(root)
    there = 0
    for size in sizes:
        platform = Platform(load(rig.config, rig.environment))
        asked = random.Random(size).sample(range(there, size), min(ASKED, size - there))
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            for _ in threads.map(partial(_add, platform), range(there, size)):
                pass
        rate = (size - there) / (time.monotonic() - began)
        for number in asked:
            account = platform.directory.account(parse_address(address(number)))
            home = Residence(account.id, SHARD, platform.directory.route(account.id).epoch)
            asyncio.run(fill(platform, home, 0, 20))
        platform.close()
        rig.start()
        try:
            yield measure(rig, [address(number) for number in asked], size, rate)
        finally:
            rig.stop()
        there = size


def _add(platform: Platform, number: int) -> None:
    account = platform.directory.add_account(
        parse_address(address(number)), home=ShardHome(SHARD), password_hash="{PLAIN}" + PASSWORD
    )
    platform.store.shard(SHARD).grant(account.id, 1)


def show(title: str, unit: str, rows: Sequence[Row]) -> None:
    table = Table(title=title)
    for name in (unit, "login, ms", "SELECT, ms", "APPEND, ms", "FETCH of 20, ms", f"{unit} made a second"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = (
            f"{row.login:.2f}",
            f"{row.select:.2f}",
            f"{row.append:.2f}",
            f"{row.fetch:.2f}",
            f"{row.filled:,.0f}",
        )
        table.add_row(f"{row.size:,}", *cells)
    console.print(table)


def main() -> int:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",") if part]

    parser = argparse.ArgumentParser(prog="make growth")
    parser.add_argument("--messages", type=numbers, default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--accounts", type=numbers, default=[10, 1_000, 100_000])
    parser.add_argument("--picture", type=Path, help="an SVG of the curves")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary one")
    args = parser.parse_args()
    curves: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="mailplat-growth-", dir=args.folder) as name:
        for title, unit, sizes, run in (
            ("one mailbox that grows", "messages", args.messages, mailboxes),
            ("a node with more and more accounts", "accounts", args.accounts, populations),
        ):
            rows: list[Row] = []
            for row in run(Path(name) / unit, sizes):
                rows.append(row)
                console.print(f"{row.size:,} {unit}: {row}", highlight=False)
            show(title, unit, rows)
            curves[unit] = rows
    if args.picture:
        args.picture.write_text(draw(curves))
    return 0


if __name__ == "__main__":
    sys.exit(main())
