"""`make bench BENCH_ARGS="--only costs"`: what moving an account costs, for `mailplat migrate forecast`.

One engine in this process and one connection to Dovecot, so that what an account takes is seen alone. Three sets of
accounts (few messages, many small ones, large ones) give three equations for each figure: a constant for an account,
one for a message, one for an octet. CPU time is that of this process, and of Dovecot with all its children.

Prints the constants of migration/forecast/costs.py; no peer does the same.
"""

import asyncio
import itertools
import os
import re
import resource
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from imapclient import IMAPClient

from mailplat.app.wiring import Platform
from mailplat.core.route import RouteState
from migration import journey
from migration.forecast.costs import Costs, Line, Work
from migration.forecast.population import Account, population
from migration.forecast.simulator import Host, Schedule, simulate
from migration.ledger import Ledger
from migration.pacing import Pacer
from tests.bench.copying import DOMAIN, MASTER, engine, in_hand, moving, start, until_ready
from tests.bench.figure import Figure
from tests.bench.peers import ADDRESS, PASSWORD, Peers

if TYPE_CHECKING:
    from tests.bench.__main__ import Bench

# Accounts of a set; messages of each, octets of a message at least (0: as the corpus has it).
ACCOUNTS = 8
SETS = ((10, 0), (500, 0), (150, 75_000))
FIRST = 1
# The Dovecot, and its first port.
SOURCE, BASE = "C", 23000
# What the forecast is compared with: accounts, octets of each in the mean.
CHECKED, CHECKED_OCTETS = 200, 1e6
PATIENCE_S = 600.0
STEPS = ("copy", "compare", "round", "fence")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds, for one account of a set in the mean."""

    elapsed: float
    worker: float
    host: float


def measure(bench: "Bench", peers: Peers | None) -> list[Figure]:
    if peers is None:
        return []
    peers.start_dovecot(SOURCE, BASE, users=FIRST + len(SETS) * ACCOUNTS + CHECKED)
    peers.add_master(SOURCE, *MASTER)
    amounts: list[tuple[float, float, float]] = []
    spent: dict[str, list[Spent]] = {step: [] for step in STEPS}
    for number, (messages, least) in enumerate(SETS):
        users = range(FIRST + number * ACCOUNTS, FIRST + (number + 1) * ACCOUNTS)
        made = furnish(peers, bench.corpus, dict.fromkeys(users, messages), least)
        amounts.append((1.0, messages, sum(each.octets for each in made) / ACCOUNTS))
        with moving(bench.root / f"costs-{number}", BASE + 143, 1, "", users) as (rig, platform):
            rig.stop()  # nothing was started: the engine is the one in this process
            for step, found in asyncio.run(_one_by_one(platform, peers.pid(SOURCE))).items():
                spent[step].append(found)
    costs = Costs(**{step: _work(amounts, rows) for step, rows in spent.items()})
    for step in STEPS:
        print(f"{step}: {getattr(costs, step)}", flush=True)
    figures = [
        Figure(
            f"{step}, {messages} messages of {octets / messages:,.0f}: {name}", "ms", "", 1000 * value, None
        )
        for step in STEPS
        for (_, messages, octets), row in zip(amounts, spent[step], strict=True)
        for name, value in (("elapsed", row.elapsed), ("worker", row.worker), ("host", row.host))
    ]
    return [*figures, check(bench, peers, costs)]


def check(bench: "Bench", peers: Peers, costs: Costs) -> Figure:
    """Seconds until so many accounts are READY, with all connections and workers, beside what is forecast. Dovecot
    has the same cores as the workers, so what it needs counts as theirs."""
    first = FIRST + len(SETS) * ACCOUNTS
    drawn = population(CHECKED, CHECKED_OCTETS, 5_000, seed=2)
    wanted = {first + number: max(1, round(each.messages)) for number, each in enumerate(drawn)}
    made = furnish(peers, bench.corpus, wanted)
    with moving(bench.root / "costs-check", BASE + 143, bench.workers, "", wanted) as (rig, platform):
        connections = platform.settings.migration.connections
        began = start(platform)
        until_ready(rig, platform, CHECKED)
        took = time.monotonic() - began
    cores = float(min(bench.workers, os.cpu_count() or 1))
    found = simulate(made, [Host(cores, connections=connections)], cores, Schedule(), costs.on_one_machine())
    work = f"{CHECKED} accounts, {sum(each.messages for each in made):,.0f} messages, to READY"
    return Figure(work, "s", "forecast", took, found.waves[0].copied)


def furnish(peers: Peers, corpus: Path, wanted: Mapping[int, int], least: int = 0) -> list[Account]:
    """So many real messages in the Maildir of each user, filled up with text to `least` octets. Dovecot has indexed
    them afterwards, as it has what its users have looked at."""
    owner = peers.maildirs(SOURCE).stat()
    paths = sorted(path for path in corpus.rglob("*") if path.is_file())
    made = []
    for user, messages in wanted.items():
        maildir, total = peers.maildirs(SOURCE) / f"user{user:04}" / "Maildir", 0
        for folder in ("cur", "new", "tmp"):
            (maildir / folder).mkdir(parents=True, exist_ok=True)
        for number, path in zip(range(messages), itertools.cycle(paths), strict=False):
            octets = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\0", b"")
            octets += b"one more line of text to make it as large as it is\n" * -(
                -max(0, least - len(octets)) // 51
            )
            wire = len(octets) + octets.count(b"\n")
            total += wire
            name = f"{1_700_000_000 + number}.M{number}.costs,S={len(octets)},W={wire}:2,S"
            (maildir / "cur" / name).write_bytes(octets)
        for each in (maildir.parent, *maildir.parent.rglob("*")):
            os.chown(each, owner.st_uid, owner.st_gid)
        _index(ADDRESS.format(user))
        made.append(Account(messages, total))
    return made


def _index(address: str) -> None:
    with IMAPClient("127.0.0.1", BASE + 143, ssl=False) as session:
        session.login(address, PASSWORD)
        session.select_folder("INBOX")
        session.fetch(session.search(), ["RFC822.SIZE", "INTERNALDATE", "FLAGS"])


async def _one_by_one(platform: Platform, dovecot: int) -> dict[str, Spent]:
    """The whole way of every account, step by step, one account after another."""
    ledger = Ledger(platform.database, platform.clock)
    attended = engine(platform, 0.0, 0.0)

    async def through() -> None:
        for account_id in sorted(attended.running):
            await attended.attend(in_hand(ledger.find_move(account_id)))

    async def alone() -> None:
        # No further than the copy.
        with mock.patch.object(Pacer, "crowded", True), mock.patch.object(journey, "SHORT_S", 0.0):
            await through()

    found = {"copy": await _spent(alone, dovecot), "compare": await _spent(through, dovecot)}
    _expect(ledger, RouteState.READY)
    found["round"] = await _spent(through, dovecot)
    ledger.request_cutover(DOMAIN, unknown_passwords=False)
    found["fence"] = await _spent(through, dovecot)
    _expect(ledger, RouteState.NEW)
    return found


def _expect(ledger: Ledger, state: RouteState) -> None:
    others = [
        f"{move.address}: {move.note} {move.halted}"
        for move in ledger.moves(DOMAIN)
        if move.route.state is not state
    ]
    if others:
        raise SystemExit(f"not {state.value}: {others}")


async def _spent(work: Callable[[], Awaitable[None]], dovecot: int) -> Spent:
    def now() -> tuple[float, float, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return time.monotonic(), own.ru_utime + own.ru_stime, _cpu(dovecot)

    before = now()
    await work()
    elapsed, worker, host = ((then - first) / ACCOUNTS for first, then in zip(before, now(), strict=True))
    return Spent(elapsed, worker, host)


def _cpu(parent: int) -> float:
    """Seconds of a process, of its children that live, and of all that it has waited for (proc(5))."""
    return sum(_ticks(pid) for pid in (parent, *_children(parent))) / _TICKS


def _children(pid: int) -> Iterator[int]:
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0  # it ended meanwhile; its parent has its time
    return sum(map(int, re.sub(r"^.*\) ", "", text).split()[11:15]))


def _work(amounts: Sequence[tuple[float, float, float]], rows: Sequence[Spent]) -> Work:
    return Work(
        *(
            Line(*_solve(amounts, [getattr(row, name) for row in rows]))
            for name in ("elapsed", "worker", "host")
        )
    )


def _solve(amounts: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Three equations, three unknowns, by elimination. What the noise makes negative costs nothing."""
    rows = [[*left, right] for left, right in zip(amounts, values, strict=True)]
    for at in range(len(rows)):
        pivot = rows[at][at]
        rows[at] = [value / pivot for value in rows[at]]
        for other in range(len(rows)):
            if other != at:
                factor = rows[other][at]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[at], strict=True)]
    return [max(0.0, row[-1]) for row in rows]
