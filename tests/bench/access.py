"""What readers wait for and cost, ours beside Dovecot: IMAP and POP3, each row with what it must reach.

Each row is the median of `runs` (memory and IDLE: see there), ours and Dovecot's in turn, so that what the machine
does meanwhile it does to both. Both have the same 10,000 messages of real mail, and were asked once before.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.bench.connection import Imap, Pop3
from tests.bench.figure import Figure, Target
from tests.bench.peers import ADDRESS, PASSWORD, Peers
from tests.rig import Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Bench

READER, MESSAGES = ADDRESS.format(99), 10_000
MAILDROP, RETRIEVED, DEPTH = ADDRESS.format(98), 1000, 50
SEQUENCE = 1000  # commands one by one
SESSIONS = 10
IDLE_SESSIONS = 1000
# Their INBOXes are empty: memory is that of a connection, and not of what it may have selected.
IDLERS = ("--first", 20, "--users", 60)
SECONDS = 3.0  # of each run that counts what is done in a time

# A server may make an index of texts behind our back, once it was asked: before a SEARCH is measured it has so many
# seconds to become faster than the first one by half.
SETTLING_S = 20.0


@dataclass(frozen=True)
class Server:
    imap: int  # ports
    pop3: int
    pid: int  # parent of all its processes


# One run, and its figure in the row's unit.
Measure = Callable[[Server], float]


class Access:
    def __init__(self, bench: "Bench", ours: Rig, peers: Peers | None, base: int, flushing: int) -> None:
        """`base`, `flushing`: of the ports of Dovecot "A", and of "B" with mail_fsync=always."""
        self._bench = bench
        self._rig = ours
        self._peer = Server(base + 143, base + 110, peers.pid("A")) if peers else None
        self._flushing = Server(flushing + 143, flushing + 110, peers.pid("B")) if peers else None

    @property
    def _ours(self) -> Server:
        assert self._rig.process is not None
        return Server(self._rig.ports["imap"], self._rig.ports["pop3"], self._rig.process.pid)

    def measure(self) -> Iterator[Figure]:
        for server in filter(None, (self._ours, self._peer)):
            for user, count in ((READER, MESSAGES), (MAILDROP, RETRIEVED)):
                self._script(server, "fill", "--user", user, "--n", count)
        yield self._row(
            "ENVELOPE, BODYSTRUCTURE of 10,000", "ms", _most(0.25), _fetch("ENVELOPE BODYSTRUCTURE")
        )
        yield self._row("BODY[] of 10,000", "ms", _most(0.7), _fetch("UID BODY.PEEK[]"))
        yield self._row("login, SELECT, FLAGS of 10,000", "ms", _most(1.2), _synchronise)
        for key, limit in (('SUBJECT "linux"', 0.3), ('BODY "viagra"', 0.1), ('TEXT "perl"', 0.1)):
            work = f"SEARCH {key.split()[0]} of 10,000"
            yield self._row(work, "ms", _most(limit), _search(key), warm=_settle(key))
        yield self._row("RETR of 1,000, pipelined", "msg/s", _least(0.8), _retrieve)
        store = self._rate("store", "STORE one by one, seq")
        yield self._row("STORE one by one", "/s", _least(1.0), store)
        if self._flushing is not None:
            # Flags survive a power cut here, there they do not. The same with one that flushes them too.
            self._script(self._flushing, "fill", "--user", READER, "--n", SEQUENCE)
            yield self._row("STORE one by one, all flushed", "/s", None, store, peer=self._flushing)
        yield self._row("NOOP one by one", "/s", _least(0.3), self._rate("status", "NOOP (seq x2000)"))
        login = self._rate("login", "login+logout", "--conns", SESSIONS)
        yield self._row("login and logout, 10 connections", "/s", _least(0.8), login)
        append = self._rate("append", "APPEND sync literal+ (distinct users)", "--conns", SESSIONS)
        yield self._row("APPEND, durable, 10 connections", "/s", _least(1.5), append)
        # The script takes the median of ten deliveries.
        yield self._row("IDLE: a delivery is told", "ms", Target(30, "at most", "figure"), self._idle, runs=1)
        # Once, of a server that has just started: a second time memory would be there already.
        self._rig.stop()
        self._rig.start()
        yield self._row(
            "an idle connection of 1,000", "KB", Target(60, "at most", "figure"), self._memory, runs=1
        )

    def _row(
        self,
        work: str,
        unit: str,
        target: Target | None,
        measure: Measure,
        *,
        peer: Server | None = None,
        runs: int | None = None,
        warm: Measure | None = None,
    ) -> Figure:
        mine: list[float] = []
        beside: list[float] = []
        other = peer or self._peer
        servers = [(self._ours, mine)] + ([(other, beside)] if other is not None else [])
        if runs is None:
            for server, _ in servers:  # passwords are looked at closely once, caches are filled
                (warm or measure)(server)
        for _ in range(runs or self._bench.runs):
            for server, found in servers:
                found.append(measure(server))
        theirs = statistics.median(beside) if beside else None
        return Figure(work, unit, "Dovecot", statistics.median(mine), theirs, target)

    def _script(self, server: Server, test: str, *arguments: object) -> list[dict[str, Any]]:
        common = ("--port", server.imap, "--corpus", self._bench.corpus, "--server-pid", server.pid)
        return list(self._bench.script("imap_bench.py", test, *common, "--runs", 1, *arguments))

    def _rate(self, test: str, name: str, *arguments: object) -> Measure:
        """What the script finds in one run of a test."""
        common = ("--user", READER, "--secs", SECONDS, "--seq", SEQUENCE)

        def measure(server: Server) -> float:
            rows = self._script(server, test, *common, *arguments)
            return next(float(row["rate"]) for row in rows if row["test"] == name)

        return measure

    def _idle(self, server: Server) -> float:
        (row,) = self._script(server, "idle")
        return float(row["p50"])

    def _memory(self, server: Server) -> float:
        (row,) = self._script(server, "idlemem", "--idleconns", IDLE_SESSIONS, *IDLERS)
        return float(row["pss_kb_per_conn"])


def _most(limit: float) -> Target:
    return Target(limit, "at most")


def _least(limit: float) -> Target:
    return Target(limit, "at least")


def _fetch(items: str) -> Measure:
    command = f"FETCH 1:* ({items})"

    def measure(server: Server) -> float:
        with Imap(server.imap, READER, PASSWORD) as client:
            client.ask(command)
            return client.seconds(command) * 1000

    return measure


def _synchronise(server: Server) -> float:
    began = time.perf_counter()
    with Imap(server.imap, READER, PASSWORD) as client:
        client.ask("UID FETCH 1:* (FLAGS)")
        return (time.perf_counter() - began) * 1000


def _search(key: str) -> Measure:
    def measure(server: Server) -> float:
        with Imap(server.imap, READER, PASSWORD) as client:
            client.seconds("NOOP")
            return client.seconds(f"SEARCH {key}") * 1000

    return measure


def _settle(key: str) -> Measure:
    def measure(server: Server) -> float:
        with Imap(server.imap, READER, PASSWORD) as client:
            first = taken = client.seconds(f"SEARCH {key}")
            deadline = time.monotonic() + SETTLING_S
            while taken > first / 2 and time.monotonic() < deadline:
                time.sleep(0.2)
                taken = client.seconds(f"SEARCH {key}")
            return taken * 1000

    return measure


def _retrieve(server: Server) -> float:
    with Pop3(server.pop3, MAILDROP, PASSWORD) as client:
        count = int(client.ask("STAT").split()[1])
        taken = client.retrieve(range(1, count + 1), DEPTH)
        client.ask("QUIT")
        return count / taken
