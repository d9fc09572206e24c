"""Moving mailboxes from Dovecot: ours, mbsync and `doveadm backup` with four at a time.

The initial copy of 20 mailboxes of real messages, over IMAP and from files; then a pass over all of them in which
nothing has changed, with CONDSTORE and as if the source had never heard of it.
"""

import asyncio
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import sqlalchemy as sa

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.clock import SystemClock
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from mailplat.directory.credentials import hash_password
from mailplat.directory.tables import route
from mailplat.wire.smtp.address import parse_address
from migration.attendance import Hand
from migration.from_backends import FromBackends
from migration.lease import Lease
from migration.ledger import PLANNED, RUNNING, Ledger, Move
from migration.role import PREPARE_S
from migration.sources.contract import SourceMailbox, Status
from migration.sources.imap_account import ImapAccount
from migration.tables import LEGACY
from migration.turns import LEGACY_KIND, Turn, Turns
from tests.bench.figure import Figure, Target
from tests.bench.peers import ADDRESS, PASSWORD, Peers
from tests.rig import Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Bench

FIRST, USERS, MESSAGES = 51, 20, 1000
PATIENCE_S = 600.0
LOOK_S = 0.05
SEEN_S = 2 * PREPARE_S
MASTER = ("master", "master-secret")
DOMAIN = "bench.test"
# Of the second Dovecot, which `doveadm backup` copies to: its ports are from here on.
TARGET_BASE = 22000

# What the issue of the engine asks for: of mbsync's rate, and seconds of a pass.
FROM_IMAP, FROM_FILES, UNCHANGED_S, UNCHANGED_WITHOUT_S = 1.0, 1.5, 0.5, 2.0


def measure(bench: "Bench", peers: Peers | None, port: int) -> list[Figure]:
    """The source is Dovecot for all, so without Dovecot there is nothing to measure."""
    if peers is None:
        return []
    peers.add_master("A", *MASTER)
    users = ("--first", FIRST, "--users", USERS)
    fill = ("--port", port, "--corpus", bench.corpus, "--n", MESSAGES, *users)
    list(bench.script("imap_bench.py", "fillusers", *fill))
    mbsync, mbsync_s = _peer(bench, peers, port, "mbsync-maildir") if shutil.which("mbsync") else (None, None)
    doveadm, doveadm_s = _peer(bench, peers, port, "doveadm")
    work, figures = f"initial copy of {USERS} mailboxes of {MESSAGES:,}", []
    for name, maildir, least in (
        ("", "", FROM_IMAP),
        (", from files", f"{peers.maildirs('A')}/%n/Maildir", FROM_FILES),
    ):
        rates = []
        for run in range(bench.runs):
            root = bench.root / f"copy-{run}{bool(maildir):d}"
            with moving(root, port, bench.workers, maildir, range(FIRST, FIRST + USERS)) as (rig, platform):
                rates.append(copy_all(rig, platform, USERS * MESSAGES))
        rate = _median(rates)
        figures.append(Figure(work + name, "msg/s", "mbsync x4", rate, mbsync, Target(least, "at least")))
        figures.append(Figure(work + name, "msg/s", "doveadm backup x4", rate, doveadm))
    with moving(bench.root / "passes", port, bench.workers, "", range(FIRST, FIRST + USERS)) as (
        rig,
        platform,
    ):
        copy_all(rig, platform, USERS * MESSAGES)
        found, without = passes(rig, platform, bench.runs)
    what = f"pass with nothing changed, {USERS} mailboxes"
    figures.append(Figure(what, "s", "mbsync x4", found, mbsync_s, Target(UNCHANGED_S, "at most", "figure")))
    figures.append(Figure(what, "s", "doveadm backup x4", found, doveadm_s))
    limit = Target(UNCHANGED_WITHOUT_S, "at most", "figure")
    figures.append(Figure(f"{what}, without CONDSTORE", "s", "mbsync x4", without, mbsync_s, limit))
    return figures


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _peer(bench: "Bench", peers: Peers, port: int, tool: str) -> tuple[float, float]:
    """Messages a second of the copy, seconds of the pass behind it: medians. What a run has made stays where it is
    until all is over, as ours does: ext4 takes ten times as long for a new file where others were deleted a minute
    ago."""
    common = ("--tool", tool, "--jobs", 4, "--passes", 2, "--src-port", port)
    users = ("--first", FIRST, "--users", USERS)
    rows = []
    for run in range(bench.runs):
        where: list[object] = ["--src-root", peers.maildirs("A"), "--work", bench.root / f"{tool}-{run}"]
        if tool == "doveadm":
            if "B" not in peers.dovecots:
                peers.start_dovecot("B", TARGET_BASE)
            conf, target = peers.root / "dovecot-B/dovecot.conf", peers.maildirs("B")
            aside = bench.root / f"doveadm-{run}-before"
            where += ["--dst-conf", conf, "--dst-root", target, "--dst-port", TARGET_BASE + 143]
            where += [
                "--wipe",
                f"mkdir {aside} && find {target} -mindepth 1 -maxdepth 1 -exec mv -t {aside} {{}} +",
            ]
        else:
            where += ["--wipe", "true"]
        rows += list(bench.script("migrate_bench.py", *common, *where, *users))
    if any(row["on_target"] != USERS * MESSAGES or row["bad_rc"] for row in rows):
        raise SystemExit(f"{tool} has not copied everything: {rows[-1]}")
    rates = [float(row["msgs_per_s"]) for row in rows if row["ppass"] == 1]
    return _median(rates), _median([float(row["secs"]) for row in rows if row["ppass"] == 2])


@contextmanager
def moving(
    root: Path, port: int, workers: int, maildir: str, users: Iterable[int]
) -> Iterator[tuple[Rig, Platform]]:
    """A platform in front of the Dovecot with that IMAP port, its accounts planned; not started."""
    environment = {"MAILPLAT_LOG__LEVEL": "warning", "MAILPLAT_PLATFORM__WORKERS": str(workers)}
    rig = Rig(root, "mx.bench.test", environment=environment)
    platform = Platform(load(rig.config, rig.environment))
    try:
        directory = platform.directory
        directory.add_domain(DOMAIN)
        directory.add_backend(
            Backend(
                "old",
                imap=f"127.0.0.1:{port}",
                imap_tls="none",
                master_user=MASTER[0],
                master_password=MASTER[1],
                maildir=maildir,
            )
        )
        password_hash = hash_password(PASSWORD)
        for number in users:
            address = parse_address(ADDRESS.format(number))
            directory.add_account(address, home=BackendHome("old"), password_hash=password_hash)
        rig.start()
        rig.call("migrate", "plan", DOMAIN)
        yield rig, platform
    finally:
        rig.stop()
        platform.close()


def copy_all(rig: Rig, platform: Platform, messages: int) -> float:
    """Messages a second from when the plan runs, as `migrate start` has it do, until the last is on the target."""
    began = start(platform)
    while (copied := _count(platform, sa.func.sum(LEGACY.move.c.copied))) < messages:
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit(f"only {copied} messages were copied in {PATIENCE_S:.0f} s: {rig.log()[-2000:]}")
        time.sleep(LOOK_S)
    return copied / (time.monotonic() - began)


def passes(rig: Rig, platform: Platform, runs: int) -> tuple[float, float]:
    """Seconds of a round over every account that is READY, by one engine in this process: with CONDSTORE, without."""
    ledger = Ledger(platform.database, platform.clock)
    until_ready(rig, platform, len(ledger.moves(DOMAIN)))
    rig.stop()
    known = asyncio.run(_passes(platform, ledger, runs))
    examine = ImapAccount.examine

    async def blind(source: ImapAccount, mailbox: SourceMailbox) -> Status:
        return replace(await examine(source, mailbox), modseq=None)

    with mock.patch.object(ImapAccount, "condstore", False), mock.patch.object(ImapAccount, "examine", blind):
        return known, asyncio.run(_passes(platform, ledger, runs))


def start(platform: Platform) -> float:
    """The monotonic time. A command that does it takes a second of a core to begin, of which the engine has none. A
    plan is made long before it runs: workers have seen it by then."""
    time.sleep(SEEN_S)
    began = time.monotonic()
    Ledger(platform.database, platform.clock).set_plan(DOMAIN, RUNNING, expected={PLANNED})
    return began


def until_ready(rig: Rig, platform: Platform, accounts: int) -> None:
    began = time.monotonic()
    ready = sa.func.count().filter(route.c.state == RouteState.READY.value)
    while _count(platform, ready) < accounts:
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit(f"not all accounts are ready after {PATIENCE_S:.0f} s: {rig.log()[-2000:]}")
        time.sleep(LOOK_S)


def _count(platform: Platform, what: "sa.ColumnElement[int]") -> int:
    """Over all accounts that move. Cheap: it is asked many times a second beside what is measured."""
    query = sa.select(what).join_from(LEGACY.move, route, route.c.account_id == LEGACY.move.c.account_id)
    with platform.database.read() as connection:
        return int(connection.execute(query).scalar_one() or 0)


def engine(platform: Platform, rest: float, latency: float) -> FromBackends:
    """The platform's engine, for turns that nobody hands out: every account of the domain is wanted."""
    turns, connections = Turns(platform.database), platform.settings.migration.connections
    attended = FromBackends(
        platform, turns, "bench", Lease(platform.clock, PATIENCE_S), rest, connections, latency
    )
    moves = Ledger(platform.database, platform.clock).moves(DOMAIN)
    attended.running = frozenset(move.account_id for move in moves)
    return attended


def in_hand(move: Move) -> Hand[Move]:
    turn = Turn(kind=LEGACY_KIND, account_id=move.account_id, number=0)
    held = Lease(SystemClock(), PATIENCE_S).hold()
    return Hand(turn, move, fresh=True, worked=0.0, failures=0, due_at=0.0, held=held)


async def _passes(platform: Platform, ledger: Ledger, runs: int) -> float:
    attended = engine(platform, PATIENCE_S, platform.settings.migration.latency)
    times = []
    for _ in range(runs + 1):  # the first takes the moves over from the platform's own engine
        moves = ledger.moves(DOMAIN)
        began = time.monotonic()
        await asyncio.gather(*(attended.attend(in_hand(move)) for move in moves))
        times.append(time.monotonic() - began)
    return _median(times[1:])
