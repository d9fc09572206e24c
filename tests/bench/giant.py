"""`make bench BENCH_ARGS="--only giant"`: one mailbox of 700,000 messages, from Dovecot over IMAP.

What must not happen is that each message costs more than the one before, or that the engine holds the mailbox in its
memory. Not part of the other measurements: it takes minutes, and some GB of disk.
"""

import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailplat.core.route import RouteState
from migration.ledger import Ledger
from tests.bench.copying import DOMAIN, MASTER, moving
from tests.bench.figure import Figure, Target
from tests.bench.peers import Peers

if TYPE_CHECKING:
    from tests.bench.__main__ import Bench

USER = 99
MESSAGES = 700_000
# The rate is taken of so many at a time; it is constant where the slowest of these is not far from the fastest.
STRETCH = 50_000
CONSTANT = 0.7
MEMORY_MB = 200.0
# Without a message for so long it does not go on.
STANDSTILL_S = 600.0


def measure(bench: "Bench", peers: Peers | None, port: int, messages: int) -> list[Figure]:
    if peers is None:
        return []
    peers.add_master("A", *MASTER)
    owner = peers.maildirs("A").stat()
    fill(peers.maildirs("A") / f"user{USER:04}" / "Maildir", messages, owner.st_uid, owner.st_gid)
    with moving(bench.root / "giant", port, 1, "", range(USER, USER + 1)) as (rig, platform):
        assert rig.process is not None
        ledger = Ledger(platform.database, platform.clock)
        rig.call("migrate", "start", DOMAIN)
        marks, copied, seen = [(0, time.monotonic())], 0, time.monotonic()
        while copied < messages:
            time.sleep(0.2)
            (move,) = ledger.moves(DOMAIN)
            now = time.monotonic()
            if move.copied > copied:
                if copied == 0:
                    marks = [(move.copied, now)]  # what Dovecot needs for its index is not ours
                copied, seen = move.copied, now
            if now - seen > STANDSTILL_S:
                raise SystemExit(f"stands still at {copied}: {move.note} {rig.log()[-2000:]}")
            if copied - marks[-1][0] >= STRETCH or copied >= messages:
                marks.append((copied, now))
        while (move := ledger.moves(DOMAIN)[0]).route.state is not RouteState.READY:  # compared too
            if move.halted or time.monotonic() - seen > STANDSTILL_S:
                raise SystemExit(f"not compared: {move.halted} {move.note}")
            time.sleep(0.2)
        memory = max(_peak_mb(pid) for pid in [rig.process.pid, *children(rig.process.pid)])
    rates = [
        (there - here) / (then - now)
        for (here, now), (there, then) in itertools.pairwise(marks)
        if there - here >= STRETCH / 2
    ]
    print("msg/s of each stretch:", ", ".join(f"{rate:,.0f}" for rate in rates), flush=True)
    work = f"one mailbox of {messages:,}"
    steady = Target(CONSTANT, "at least")
    slowest = Figure(f"{work}: slowest {STRETCH:,}", "msg/s", "the fastest", min(rates), max(rates), steady)
    limit = Target(MEMORY_MB, "at most", "figure")
    return [slowest, Figure(f"{work}: memory", "MB", "", memory, None, limit)]


def fill(maildir: Path, messages: int, uid: int, gid: int) -> None:
    """Small messages as files, which Dovecot numbers when it is asked first."""
    for name in ("", "cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    folder = os.open(maildir / "cur", os.O_RDONLY)
    try:
        for number in range(messages):
            text = f"From: a@x.test\nTo: b@x.test\nSubject: message {number}\nMessage-ID: <{number}@giant.test>\n\n"
            octets = (text + f"line of {number}\n" * (number % 20 + 1)).encode()
            size = len(octets) + octets.count(b"\n")
            name = f"{1_700_000_000 + number}.M{number}.giant,S={len(octets)},W={size}:2,{'S' * (number % 2)}"
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder)
            os.write(descriptor, octets)
            os.fchown(descriptor, uid, gid)
            os.close(descriptor)
    finally:
        os.close(folder)
    for path in (maildir.parent, maildir, *maildir.iterdir()):
        os.chown(path, uid, gid)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def _peak_mb(pid: int) -> float:
    """The most memory that a process ever had resident (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
