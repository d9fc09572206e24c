"""`make migration-drill`: the whole life of a migration, wave by wave, while everybody uses their mail.

    python -m tests.drill.migration [--accounts 200] [--domains 20] [--waves 3] [--letters 20] [--seconds 20]
                                    [--seed N] [--folder DIR]

A real Dovecot is the legacy platform, Postfix in front of it where that is installed, ours in front of both: one
`mailplat serve` with all its roles, told what to do by the command line. Clients deliver over SMTP, append, flag,
move, expunge, poll over POP3, resynchronise their caches with QRESYNC and hold IDLE, from the first wave to the last.
One domain of the second wave goes back after so many seconds of changes, and moves again.

At the end, with all clients still, every message of every account is read and compared with the ledger.
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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mailplat.core.route import BackendHome, RouteState
from migration.forecast.costs import MEASURED
from migration.forecast.population import Account
from migration.forecast.simulator import Host, Schedule, simulate
from migration.ledger import Move
from tests.crash import letters
from tests.crash.clients import ARCHIVE, INBOX, WORK, Client, Mailbox, Reader, Sender
from tests.crash.inspection import inspect
from tests.drill import oracle
from tests.drill.stage import BACKEND, PATIENCE_S, Stage, told, until

# Seconds between two things of a client, on average.
PAUSE_S = 0.15
# One account of so many has a client in IDLE; at most so many of them.
IDLE_EVERY, IDLE_MOST = 5, 20
# A domain's accounts are ready, or cut over, or back, by then.
WAVE_S = 600.0
# Somebody says `resume --allow-deletions` so often for one domain.
RESUMES = 5
# What clients may wait for an answer, milliseconds (p50, p99, longest).
FREEZE_MS = {"p50": 2_000.0, "p99": 10_000.0, "max": 30_000.0}

# Rows of the table: what the ledger and the clients call it.
ROWS = {
    "lost": ("missing", "mailbox"),
    "doubled": ("doubled", "delivered twice"),
    "renumbered": ("renumbered", "changed", "reused", "returned", "uidvalidity", "half"),
    "changed: octets, dates, flags": ("octets", "torn", "date", "flags"),
    "downloaded again, or a cache gone wrong": ("downloaded again", "cache", "order", "modseq"),
    "failed logins": ("login",),
    "not moved, or moved by a person's word": ("move",),
    "waited too long": ("freeze",),
    "dropped IDLE connections": ("idle",),
}


class MigrationDrill:
    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        accounts: int,
        domains: int,
        waves: int,
        letters_each: int,
        seconds: float,
        hasty: bool = False,
    ) -> None:
        """`hasty`: less traffic, one process, no Postfix."""
        self.rng = random.Random(seed)
        self.addresses = [f"u{number}@d{number % domains}.test" for number in range(accounts)]
        names = [f"d{number}.test" for number in range(domains)]
        self.waves = [names[at::waves] for at in range(waves)]
        self.letters_each, self.seconds = letters_each, seconds
        environment = {"MAILPLAT_PLATFORM__WORKERS": "1" if hasty else "2", "MAILPLAT_LOG__LEVEL": "warning"}
        self.stage = Stage(folder, self.addresses, postfix=not hasty, environment=environment)
        self.scene, self.ledger = self.stage.scene, self.stage.oracle
        self.scene.accounts = self.addresses
        self.scene.pause = PAUSE_S * (4 if hasty else 1)
        self.scene.enough = 1 << 30
        self.caches, self.poppers = oracle.Caches(), oracle.Poppers()
        self.freezes: list[float] = []
        self.rolled_back = ""
        self.moved: dict[str, float] = {}  # Unix time of the first cutover, by domain
        self.returned = ""  # the domain that went back
        self.scene.renumbers = self.renumbers
        self.began = time.monotonic()

    # before

    def furnish(self) -> None:
        """Accounts with a past, as their owners know it."""
        self.stage.place(self.addresses)
        self.stage.rig.start()
        for address in self.addresses:
            mailbox = Mailbox(self.scene, address)
            for name, share in ((INBOX, 2), (WORK, 4), (ARCHIVE, 4)):
                if name != INBOX:
                    mailbox.must(b"CREATE " + name.encode())
                    mailbox.must(b"SUBSCRIBE " + name.encode())
                tokens = [self.ledger.token() for _ in range(max(1, self.letters_each // share))]
                octets = [letters.letter(token, self.rng) for token in tokens]
                flags = frozenset(self.rng.sample(("\\Seen", "\\Flagged", "$Forwarded"), 2))
                mailbox.append(self.ledger.box(address, name), octets, tokens, flags)
            mailbox.imap.close()
        self.say(f"{len(self.addresses)} accounts with {self.ledger.counts['acknowledged']} messages")

    # traffic

    def clients(self, stop: threading.Event) -> list[Client]:
        def rng() -> random.Random:
            return random.Random(self.rng.random())

        kinds: list[type[Client]] = [Sender, Sender, *[oracle.Mover] * 4, Reader]
        clients = [kind(self.scene, at, rng(), stop) for at, kind in enumerate(kinds)]
        at = len(clients)
        clients += [oracle.Cacher(self.scene, at + each, rng(), stop, self.caches) for each in range(2)]
        clients += [oracle.Popper(self.scene, at + 2 + each, rng(), stop, self.poppers) for each in range(2)]
        idle = self.addresses[::IDLE_EVERY][:IDLE_MOST]
        clients += [oracle.Idler(self.scene, 100, rng(), stop, address) for address in idle]
        return clients

    @contextlib.contextmanager
    def running(self, make: Callable[[threading.Event], Sequence[Client]]) -> Iterator[Sequence[Client]]:
        stop = threading.Event()
        clients = make(stop)
        for client in clients:
            client.start()
        try:
            yield clients
        finally:
            stop.set()
            for client in clients:
                client.join(PATIENCE_S)
                if client.is_alive():
                    self.scene.errors.append(f"{client.name} hangs")

    @contextlib.contextmanager
    def watched(self, domain: str) -> Iterator[None]:
        """How long somebody at each account of the domain waits for an answer, at the longest."""
        mine = [each for each in self.addresses if each.endswith(f"@{domain}")]

        def make(stop: threading.Event) -> list[oracle.Waiter]:
            return [oracle.Waiter(self.scene, 200, self.rng, stop, address) for address in mine]

        with self.running(make) as waiters:
            for waiter in waiters:
                assert isinstance(waiter, oracle.Waiter)
                waiter.ready.wait(PATIENCE_S)
            yield
            time.sleep(3 * oracle.PULSE_S)
        self.freezes += [waiter.longest for waiter in waiters if isinstance(waiter, oracle.Waiter)]

    # moves

    def wave(self, number: int) -> None:
        domains = self.waves[number]
        for domain in domains:
            self.stage.rig.call("migrate", "plan", domain)
        began = time.monotonic()
        for domain in domains:
            self.stage.rig.call("migrate", "start", domain)
        starting = time.monotonic() - began
        until(lambda: all(map(self.is_ready, domains)), f"wave {number + 1} to be ready", WAVE_S)
        took = time.monotonic() - began
        self.say(
            f"wave {number + 1}: {len(domains)} domains are ready after {took:.1f} s, {starting:.1f} s of it to say"
            f" `start`; forecast for a machine without other load: {self.forecast(domains):.1f} s"
        )
        for domain in domains:
            with self.watched(domain):
                self.cut_over(domain)
        self.say(f"wave {number + 1}: cut over")

    def forecast(self, domains: Sequence[str]) -> float:
        """Seconds that these would take to be READY by `mailplat migrate forecast`, were nothing else to do here."""
        made = [Account(move.copied, move.octets) for domain in domains for move in self.moves(domain)]
        cores = float(os.cpu_count() or 1)
        found = simulate(made, [Host(cores)], cores, Schedule(), MEASURED.on_one_machine())
        return found.waves[0].copied

    def moves(self, domain: str) -> list[Move]:
        return self.stage.ledger.moves(domain)

    def is_ready(self, domain: str) -> bool:
        moves = self.moves(domain)
        if any(move.halted for move in moves):
            self.resume(domain, moves)
        return all(move.route.state in (RouteState.READY, RouteState.NEW) for move in moves)

    def resume(self, domain: str, moves: Sequence[Move]) -> None:
        """A person looks: that many messages are gone is what the clients did."""
        for move in moves:
            if move.halted and "--allow-deletions" not in move.halted:
                self.ledger.violated("move", f"{move.address} halted: {move.halted}")
        self.ledger.counts["resumed after many deletions"] += 1
        self.stage.rig.call("migrate", "resume", domain, "--allow-deletions", "1000")

    def cut_over(self, domain: str) -> None:
        self.moved.setdefault(domain, time.time())
        for _ in range(RESUMES):
            _, said = self.command("cutover", domain)
            moves = self.moves(domain)
            if all(move.route.state is RouteState.NEW for move in moves):
                return
            self.ledger.counts["cutovers asked for again"] += 1
            self.say(f"{domain}: {said[:300]}")
            until(lambda: self.is_ready(domain), f"{domain} to be ready", WAVE_S)
        self.ledger.violated("move", f"{domain} was not moved")

    def renumbers(self, key: tuple[str, str]) -> bool:
        """A mailbox that was made here has, when its account has gone back, the UIDVALIDITY that the legacy platform
        gives (docs/migration.md): over IMAP nobody can say which."""
        domain = key[0].partition("@")[2]
        if domain != self.returned or self.scene.made.get(key, 0.0) < self.moved[domain]:
            return False
        del self.scene.made[key]
        self.ledger.counts["mailboxes made here that were numbered anew there"] += 1
        return True

    def command(self, *arguments: str) -> tuple[int, str]:
        """`mailplat migrate` with these: its exit status, and what it said."""
        try:
            return 0, self.stage.rig.call("migrate", *arguments)
        except SystemExit as error:  # as argparse ends for a command that is not there
            return int(error.code or 0), ""
        except RuntimeError as error:
            return 1, str(error)

    def go_back(self, domain: str) -> None:
        """The domain to the legacy platform and here again, where there is such a command."""
        before = len(self.ledger.stories)
        time.sleep(self.seconds)
        with self.watched(domain):
            self.returned = domain
            self.scene.going_back.add(domain)
            status, _ = self.command("rollback", domain)
            if status == 2:
                self.rolled_back = "not there: `migrate rollback` is no command of this version"
                return
            until(lambda: all(map(is_back, self.moves(domain))), f"{domain} to be back", WAVE_S)
        self.say(f"{domain} is back at the legacy platform: exit status {status}")
        time.sleep(self.seconds / 2)
        self.scene.going_back.clear()
        with self.watched(domain):
            self.stage.rig.call("migrate", "resume", domain)
            until(lambda: self.is_ready(domain), f"{domain} to be ready again", WAVE_S)
            self.cut_over(domain)
        broken = len(self.ledger.stories) - before
        self.rolled_back = f"{domain} went back and came again; {broken} broken promises meanwhile"
        self.say(self.rolled_back)

    # comparison

    def settle(self) -> None:
        """Nothing is on its way: not here, not in Postfix, not at Dovecot behind a cutover."""
        self.stage.settle_queue()
        if self.stage.postfix is not None:
            postfix = self.stage.postfix
            postfix.flush()
            until(lambda: not postfix.waiting(), "Postfix's queue to be empty")
        sweeps = 2 if self.stage.postfix is not None else 1  # the second one, for what Postfix had longer
        everybody = [move for wave in self.waves for domain in wave for move in self.moves(domain)]
        until(
            lambda: all(self.stage.ledger.find_move(each.account_id).sweeps >= sweeps for each in everybody),
            "the sweeps at the legacy platform",
            WAVE_S,
        )

    def compare(self) -> None:
        inspect(self.scene, Counter, deep=True)
        cached = sorted({account for account, _ in self.caches.boxes})
        oracle.compare_caches(self.scene, self.caches, cached)
        for account in list(self.poppers.known):
            oracle.poll(self.scene, account, self.poppers)

    def reports(self) -> None:
        """`migrate report` of each domain: it has them all, compared."""
        for domain in (each for wave in self.waves for each in wave):
            report = self.stage.rig.query("migrate", "report", domain)
            moved, planned = report["accounts"], report["planned"]
            self.ledger.counts["accounts moved"] += moved
            self.ledger.counts["strays"] += report["strays"]
            self.ledger.counts["fences taken back"] += report["aborts"]
            if moved != planned:
                self.ledger.violated("move", f"the report of {domain}: {moved} of {planned} moved")

    def run(self) -> int:
        """1 when a promise broke."""
        self.furnish()
        with self.running(self.clients):
            time.sleep(self.seconds / 4)
            for number in range(len(self.waves)):
                self.wave(number)
                if number == min(1, len(self.waves) - 1):
                    self.go_back(self.waves[number][0])
            time.sleep(self.seconds / 4)
        self.settle()
        self.compare()
        self.reports()
        for account, said in self.scene.locked_out:
            self.ledger.violated("login", f"{account}: {said}")
        dropped = self.ledger.counts["IDLE connections dropped"]
        if dropped:
            self.ledger.violated("idle", f"{dropped} connections were dropped in IDLE")
        freeze = oracle.percentiles(self.freezes)
        for name, most in FREEZE_MS.items():
            if freeze.get(name, 0.0) > most:
                self.ledger.violated("freeze", f"{name} {freeze[name]:.0f} ms, more than {most:.0f}")
        self.print_table(freeze)
        return 1 if self.scene.errors or self.ledger.broken else 0

    def say(self, text: str) -> None:
        counts = self.ledger.counts
        print(
            f"{time.monotonic() - self.began:>6.0f} s  {text}; {counts['acknowledged']} acknowledged",
            flush=True,
        )

    def print_table(self, freeze: dict[str, float]) -> None:
        for line in [*self.scene.errors, *self.ledger.stories[:200]]:
            print(f"BROKEN {line}")
        print(f"\n{'done':<46}")
        for name, count in sorted(self.ledger.counts.items()):
            print(f"  {name:<44}{count:>8}")
        print(f"{'what must be 0':<46}")
        for name, kinds in ROWS.items():
            print(f"  {name:<44}{sum(self.ledger.broken[each] for each in kinds):>8}")
        print(f"{'what clients notice':<46}")
        for name, value in freeze.items():
            limit = f"   (at most {FREEZE_MS[name]:.0f})"
            print(f"  {'longest wait at a cutover, ms, ' + name:<44}{value:>8.0f}{limit}")
        for what in (
            "IDLE connections",
            "IDLE connections dropped",
            "IDLE connections ended by the way back",
        ):
            print(f"  {what:<44}{self.ledger.counts[what]:>8}")
        print(f"way back: {self.rolled_back}")
        print("submissions: not there: this version has no submission door")
        verdict = "FAILED" if self.ledger.broken or self.scene.errors else "all kept"
        print(f"{len(self.addresses)} accounts in {time.monotonic() - self.began:.0f} s: {verdict}")

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.stage.close)
            stack.callback(self.stage.rig.stop)


def is_back(move: Move) -> bool:
    return move.route.home == BackendHome(BACKEND) and move.route.state is not RouteState.FENCED


def main() -> int:
    parser = argparse.ArgumentParser(prog="migration-drill")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--domains", type=int, default=20)
    parser.add_argument("--waves", type=int, default=3)
    parser.add_argument("--letters", type=int, default=20, help="of each account, before it moves")
    parser.add_argument("--seconds", type=float, default=20.0, help="of changes before a domain goes back")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(json.dumps({name: value for name, value in vars(args).items() if name != "folder"}), flush=True)
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="migration-drill."))
        drill = MigrationDrill(
            (args.folder or Path(temporary)) / "stage",
            args.seed,
            accounts=args.accounts,
            domains=args.domains,
            waves=args.waves,
            letters_each=args.letters,
            seconds=args.seconds,
        )
        stack.callback(drill.close)
        return drill.run()


if __name__ == "__main__":
    sys.exit(told(main))
