"""Waves of accounts through what moves them.

Between two events of a host (an account begins or is through) everything there advances at one speed, so each host
has a clock of its own that runs at that speed, and accounts are through in the order of what they have left. The
workers are shared by all hosts: one clock that runs slower while they ask for more cores than there are is the time
that the hosts' clocks are measured in. So an event costs the same with one host and with a hundred."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from migration.compared import SAMPLE_SHARE, WHOLE_BELOW
from migration.forecast.costs import Costs, Work
from migration.forecast.population import Account
from migration.pacing import WAITING_SHARE

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Host:
    """A legacy platform, as far as it may be worked. `cores`: what copying may take of it. `octets`: a second, at
    most; math.inf for no limit. `connections`: at once, of all workers together (`[migration] connections`)."""

    cores: float
    octets: float = math.inf
    connections: int = 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """`waves`: of equal numbers of accounts. `window`: seconds of each day in which accounts are cut over. `bake`:
    seconds after the last cutover of a wave until the first of the next. `ahead`: the next wave is copied meanwhile;
    else it begins when the one before is through. `ready_every`: seconds between two rounds of an account that waits.
    """

    waves: int = 1
    window: float = DAY_S
    bake: float = 0.0
    ahead: bool = True
    ready_every: float = 5.0


@dataclass(frozen=True, slots=True)
class Wave:
    """Seconds since the beginning."""

    accounts: int
    octets: float
    begun: float
    copied: float  # and compared: READY, all of them
    first_cutover: float
    cut_over: float
    done: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Means while something is copied: cores of all workers; cores, octets a second and connections of a host, the
    latter as many as would be needed were nothing else short; octets a second `written` to all shards.
    `waiting_cores`: of a host while a whole wave is READY and waits."""

    waves: Sequence[Wave]
    worker_cores: float
    host_cores: float
    host_octets: float
    connections: float
    written: float
    waiting_cores: float

    @property
    def seconds(self) -> float:
        return self.waves[-1].done if self.waves else 0.0


@dataclass(slots=True)
class _Job:
    """One account's way to READY: its own seconds, and what it asks for in each of them."""

    elapsed: float
    worker: float
    host: float
    octets: float

    @classmethod
    def of(cls, account: Account, costs: Costs) -> "_Job":
        """A large account is compared by a sample (migration/compared.py)."""
        share = 1.0 if account.octets < WHOLE_BELOW else SAMPLE_SHARE
        again = Account(account.messages * share, account.octets * share)
        parts = ((costs.copy, account), (costs.compare, again), (costs.round, account))
        elapsed, worker, host = (
            sum(getattr(work, name).of(what.messages, what.octets) for work, what in parts)
            for name in ("elapsed", "worker", "host")
        )
        return cls(elapsed, worker / elapsed, host / elapsed, (account.octets + again.octets) / elapsed)


@dataclass(slots=True)
class _Desk:
    """One host during one wave."""

    host: Host
    queue: list[_Job]  # the last is the next
    clock: float = 0.0  # seconds of its accounts' own time
    speed: float = 1.0
    at: float = 0.0  # the workers' clock, when `clock` was that
    worker: float = 0.0  # asked for by those under way
    cores: float = 0.0
    octets: float = 0.0
    under_way: list[tuple[float, int, _Job]] = field(default_factory=list)
    begun: int = 0

    def advance(self, now: float) -> None:
        self.clock += (now - self.at) * self.speed
        self.at = now

    def fill(self) -> None:
        while self.queue and len(self.under_way) < self.host.connections:
            job = self.queue.pop()
            heapq.heappush(self.under_way, (self.clock + job.elapsed, self.begun, job))
            self.begun += 1
            self._ask(job, 1)
        self.speed = min(1.0, _share(self.host.cores, self.cores), _share(self.host.octets, self.octets))

    def finish(self) -> None:
        until, _, job = heapq.heappop(self.under_way)
        self.clock = until
        self._ask(job, -1)
        if not self.under_way:
            self.worker = self.cores = self.octets = 0.0  # not what additions have left of it

    def _ask(self, job: _Job, sign: int) -> None:
        self.worker += sign * job.worker
        self.cores += sign * job.host
        self.octets += sign * job.octets

    @property
    def next_at(self) -> float:
        """On the workers' clock."""
        return self.at + (self.under_way[0][0] - self.clock) / self.speed


def _share(there: float, asked: float) -> float:
    return there / asked if asked > there else 1.0


def copying(desks: Sequence[_Desk], worker_cores: float) -> float:
    """Seconds until every account is through."""
    for desk in desks:
        desk.fill()
    asked = sum(desk.worker * desk.speed for desk in desks)
    events = [(desk.next_at, number) for number, desk in enumerate(desks) if desk.under_way]
    heapq.heapify(events)
    seconds = now = 0.0
    while events:
        then, number = heapq.heappop(events)
        desk = desks[number]
        seconds += (then - now) / _share(worker_cores, asked)
        now = then
        asked -= desk.worker * desk.speed
        desk.advance(now)
        desk.finish()
        desk.fill()
        asked += desk.worker * desk.speed
        if desk.under_way:
            heapq.heappush(events, (desk.next_at, number))
    return seconds


def _cutting_over(accounts: int, host: Host, fence: Work, worker_cores: float, hosts: int) -> float:
    """Seconds for that many fences, one after another on each connection."""
    elapsed, worker, cores = (line.of(0, 0) for line in (fence.elapsed, fence.worker, fence.host))
    asked = host.connections / elapsed
    speed = min(1.0, _share(host.cores, cores * asked), _share(worker_cores / hosts, worker * asked))
    return accounts * elapsed / (host.connections * speed)


def in_window(at: float, seconds: float, window: float) -> tuple[float, float]:
    """When work of so many seconds begins and ends, that is done in the first `window` seconds of each day alone."""
    day, within = divmod(at, DAY_S)
    if within >= window:
        day, within = day + 1, 0.0
    begun = day * DAY_S + within
    while seconds > window - within:
        seconds -= window - within
        day, within = day + 1, 0.0
    return begun, day * DAY_S + within + seconds


def _parts(accounts: Sequence[Account], waves: int) -> Iterator[Sequence[Account]]:
    for number in range(waves):
        yield accounts[number::waves]


def simulate(
    accounts: Sequence[Account], hosts: Sequence[Host], worker_cores: float, schedule: Schedule, costs: Costs
) -> Forecast:
    """Accounts are dealt to the waves, and within one to the hosts, in turn. Raises ValueError for numbers with which
    nothing would ever be through."""
    if not hosts or worker_cores <= 0 or schedule.waves < 1 or not 0 < schedule.window <= DAY_S:
        raise ValueError("at least one host, one wave, some of a worker's core and a window of at most a day")
    if any(host.cores <= 0 or host.octets <= 0 or host.connections < 1 for host in hosts):
        raise ValueError("a host has cores, octets a second and connections above 0")
    waves: list[Wave] = []
    begun = done = busy = 0.0
    for part in _parts(accounts, schedule.waves):
        shares = [part[number :: len(hosts)] for number in range(len(hosts))]
        desks = [
            _Desk(host, [_Job.of(account, costs) for account in reversed(share)])
            for host, share in zip(hosts, shares, strict=True)
        ]
        seconds = copying(desks, worker_cores)
        busy += seconds
        fences = max(
            _cutting_over(len(share), host, costs.fence, worker_cores, len(hosts))
            for host, share in zip(hosts, shares, strict=True)
        )
        copied = begun + seconds
        first, last = in_window(max(copied, done), fences, schedule.window)
        done = last + schedule.bake
        octets = sum(account.octets for account in part)
        waves.append(Wave(len(part), octets, begun, copied, first, last, done))
        begun = copied if schedule.ahead else done
    return _summed_up(accounts, waves, busy, hosts, schedule, costs)


def _summed_up(
    accounts: Sequence[Account],
    waves: Sequence[Wave],
    busy: float,
    hosts: Sequence[Host],
    schedule: Schedule,
    costs: Costs,
) -> Forecast:
    jobs = [_Job.of(account, costs) for account in accounts]
    octets = sum(account.octets for account in accounts)
    busy = busy or math.inf
    ready = max((wave.accounts for wave in waves), default=0) / len(hosts)
    connections = max(host.connections for host in hosts)
    rounds = min(ready / schedule.ready_every, WAITING_SHARE * connections / costs.round.elapsed.of(0, 0))
    return Forecast(
        waves,
        worker_cores=sum(job.worker * job.elapsed for job in jobs) / busy,
        host_cores=sum(job.host * job.elapsed for job in jobs) / busy / len(hosts),
        host_octets=sum(job.octets * job.elapsed for job in jobs) / busy / len(hosts),
        connections=sum(job.elapsed for job in jobs) / busy / len(hosts),
        written=octets / busy,
        waiting_cores=rounds * costs.round.host.of(0, 0),
    )
