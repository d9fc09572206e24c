"""`make growth`: what a client waits for as a mailbox and the number of accounts grow (docs/growth.md).

    python -m tests.bench.growth [--messages 1000,100000,1000000] [--accounts 10,1000,100000] [--picture FILE]

All is measured through the doors of a running platform with one worker, as a client waits for it: the median of many,
in milliseconds. A small platform runs beside, and each sample is taken of both, one after the other: what the machine
does meanwhile, it does to both. The mailboxes are filled through the store's door, durably; beyond the first thousand
messages by COPY, which makes a file and rows of each as an append does, at a third of its cost.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
# Messages of one append or COPY while filling.
BATCH = 1000
# Accounts of the small platform, each with 20 messages.
SMALL = 10
# How long a start may take where others have the machine too.
PATIENCE_S = 300.0
# Accounts are made by so many threads, that wait for the disk together.
THREADS = 32
# The directory takes one at a time; SQLite would let some of the threads wait beyond its patience.
_adding = threading.Lock()
# Of these accounts samples are taken; each has 20 messages.
ASKED = 60

console = Console()


@dataclass
class Row:
    size: int
    costs: Mapping[str, float]  # milliseconds, medians
    beside: Mapping[str, float]  # the same of the small platform
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


def measure(rig: Rig, small: Rig, users: Sequence[str], size: int, filled: float) -> Row:
    """Each sample is another of `users`, or again the same one. What is first of its kind is cold."""
    taken: dict[str, list[float]] = defaultdict(list)
    beside: dict[str, list[float]] = defaultdict(list)
    for number in range(SAMPLES):
        _sample(rig, users[number % len(users)], taken)
        _sample(small, address(number % SMALL), beside)
    return Row(size, _medians(taken), _medians(beside), filled)


def _medians(taken: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {
        **{name: statistics.median(each) for name, each in taken.items()},
        "SELECT, first": taken["SELECT"][0],
    }


def _sample(rig: Rig, user: str, taken: dict[str, list[float]]) -> None:
    def clocked(name: str, work: Callable[[], object]) -> None:
        taken[name].append(milliseconds(work))

    octets = letter(0)
    wire, other = Wire(rig.ports["imap"]), Wire(rig.ports["imap"])
    clocked("login", lambda: _login(wire, user))
    clocked("SELECT", lambda: _ok(wire.tagged(b"SELECT INBOX")))
    clocked("APPEND", lambda: _append(wire, octets))
    newest = _newest(wire)
    low = max(1, newest - 19)
    clocked("FETCH of 20", lambda: _fetch(wire, b"FETCH %d:%d" % (low, newest), min(20, newest)))
    uidnext = _number(wire, "UIDNEXT")
    clocked("UID FETCH of the newest", lambda: _fetch(wire, b"UID FETCH %d:*" % (uidnext - 1), 1))
    clocked("STORE", lambda: _ok(wire.tagged(b"STORE %d +FLAGS (\\Flagged)" % newest)))
    clocked("STATUS", lambda: _number(wire, "UNSEEN"))
    _login(other, user)
    _ok(other.tagged(b"SELECT INBOX"))
    other.say(b"x IDLE")
    clocked("told in IDLE", lambda: _append_and_hear(wire, octets, other))
    clocked("NOOP after it", lambda: _ok(wire.tagged(b"NOOP")))
    other.close()
    wire.close()
    pop3 = Wire(rig.ports["pop3"])
    pop3.say(b"USER " + user.encode())
    clocked("POP3 login", lambda: pop3.say(b"PASS " + PASSWORD.encode()))
    pop3.say(b"QUIT")
    pop3.close()


def _append_and_hear(wire: Wire, octets: bytes, other: Wire) -> None:
    _append(wire, octets)
    _hear(other, " EXISTS")


def _hear(wire: Wire, end: str) -> None:
    while not (line := wire.line()).endswith(end):
        if not line:
            raise SystemExit("the connection was closed during IDLE")


def _login(wire: Wire, user: str) -> None:
    _ok(wire.tagged(f"LOGIN {user} {PASSWORD}".encode()))


def _append(wire: Wire, octets: bytes) -> None:
    wire.send(b"x APPEND INBOX {%d+}\r\n" % len(octets) + octets + b"\r\n")
    while not (line := wire.line()).startswith("x "):
        if not line:
            raise SystemExit("the connection was closed during APPEND")
    _ok(line)


def _newest(wire: Wire) -> int:
    return _number(wire, "MESSAGES")


def _number(wire: Wire, item: str) -> int:
    wire.send(f"x STATUS INBOX ({item})\r\n".encode())
    found = 0
    while not (line := wire.line()).startswith("x "):
        if f"({item} " in line:
            found = int(line.rstrip(")\r\n").split()[-1])
    return found


def _fetch(wire: Wire, command: bytes, wanted: int) -> None:
    lines = 0
    wire.send(b"x " + command + b" (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)\r\n")
    while not (line := wire.line()).startswith("x "):
        lines += "ENVELOPE" in line
    if lines != wanted:
        raise SystemExit(f"{lines} messages came of {wanted}: {line}")


def _ok(line: str) -> None:
    if not line.startswith("x OK"):
        raise SystemExit(f"refused: {line}")


def prepared(root: Path) -> Rig:
    """Stopped, one domain."""
    rig = Rig(root, "mx.growth.test", environment={"MAILPLAT_LOG__LEVEL": "warning"})
    rig.call("domain", "add", DOMAIN)
    return rig


@contextmanager
def small_platform(root: Path) -> Iterator[Rig]:
    """Running."""
    rig = prepared(root)
    platform = Platform(load(rig.config, rig.environment))
    for number in range(SMALL):
        _add(platform, number)
        asyncio.run(fill(platform, _home(platform, number), 0, 20))
    platform.close()
    rig.start(within=PATIENCE_S)
    try:
        yield rig
    finally:
        rig.stop()


def _home(platform: Platform, number: int) -> Residence:
    account = platform.directory.account(parse_address(address(number)))
    return Residence(account.id, SHARD, platform.directory.route(account.id).epoch)


def mailboxes(root: Path, small: Rig, sizes: Sequence[int]) -> Iterator[Row]:
    """One mailbox that grows."""
    rig = prepared(root)
    rig.call("account", "add", address(0), "--hash", "{PLAIN}" + PASSWORD, "--home", f"shard:{SHARD}")
    there = 0
    for size in sizes:
        platform = Platform(load(rig.config, rig.environment))
        began = time.monotonic()
        asyncio.run(fill(platform, _home(platform, 0), there, size))
        rate = (size - there) / (time.monotonic() - began)
        platform.close()
        rig.start(within=PATIENCE_S)
        try:
            yield measure(rig, small, [address(0)], size, rate)
        finally:
            rig.stop()
        there = size + 2 * SAMPLES


async def fill(platform: Platform, home: Residence, first: int, last: int) -> None:
    written = min(last, BATCH)
    if first < written:
        await platform.store.append(home, "INBOX", [_message(number) for number in range(first, written)])
    shard = platform.store.shard(home.shard)
    inbox = shard.mailbox(home, "INBOX").id
    for start in range(max(first, written), last, BATCH):
        shard.copy(home, inbox, [(1, min(BATCH, last - start))], "INBOX")


def _message(number: int) -> NewMessage:
    return NewMessage(Body.of(letter(number)))


def populations(root: Path, small: Rig, sizes: Sequence[int]) -> Iterator[Row]:
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
            asyncio.run(fill(platform, _home(platform, number), 0, 20))
        platform.close()
        rig.start(within=PATIENCE_S)
        try:
            yield measure(rig, small, [address(number) for number in asked], size, rate)
        finally:
            rig.stop()
        there = size


def _add(platform: Platform, number: int) -> None:
    with _adding:
        account = platform.directory.add_account(
            parse_address(address(number)), home=ShardHome(SHARD), password_hash="{PLAIN}" + PASSWORD
        )
    platform.store.shard(SHARD).grant(account.id, 1, DOMAIN)


def show(title: str, unit: str, rows: Sequence[Row]) -> None:
    table = Table(title=title)
    table.add_column("milliseconds (times the small platform's)")
    for row in rows:
        table.add_column(f"{row.size:,} {unit}", justify="right")
    for name in rows[0].costs:
        cells = (f"{row.costs[name]:.2f} ({row.costs[name] / row.beside[name]:.2f})" for row in rows)
        table.add_row(name, *cells)
    table.add_row(f"{unit} made a second", *(f"{row.filled:,.0f}" for row in rows))
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
    with (
        tempfile.TemporaryDirectory(prefix="mailplat-growth-", dir=args.folder) as name,
        small_platform(Path(name) / "small") as small,
    ):
        for title, unit, sizes, run in (
            ("one mailbox that grows", "messages", args.messages, mailboxes),
            ("a node with more and more accounts", "accounts", args.accounts, populations),
        ):
            rows: list[Row] = []
            for row in run(Path(name) / unit, small, sizes) if sizes else ():
                rows.append(row)
                console.print(f"{row.size:,} {unit}: {row.costs} beside {row.beside}", highlight=False)
                if args.picture:
                    args.picture.write_text(draw({**curves, unit: rows}))
            if rows:
                show(title, unit, rows)
                curves[unit] = rows
    return 0


if __name__ == "__main__":
    sys.exit(main())
