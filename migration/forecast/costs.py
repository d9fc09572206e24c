"""What moving costs, in seconds, as `make bench BENCH_ARGS="--only costs"` measures it: a straight line through sets
of mailboxes of small and of large messages, of few and of many."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of something: a constant for each account, one for each message, one for each octet."""

    account: float
    message: float
    octet: float

    def of(self, messages: float, octets: float) -> float:
        """Seconds for one account with so many messages that have so many octets together."""
        return self.account + self.message * messages + self.octet * octets


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work on an account, on one connection. `elapsed`: seconds that it takes when nobody else is there,
    `worker` and `host`: seconds of a core of either side within it."""

    elapsed: Line
    worker: Line
    host: Line

    def on_one_machine(self) -> "Work":
        """Where a platform shares its cores with its legacy host, as in a test: what that needs counts as its own."""
        ours, theirs = self.worker, self.host
        line = Line(ours.account + theirs.account, ours.message + theirs.message, ours.octet + theirs.octet)
        return Work(self.elapsed, line, theirs)


@dataclass(frozen=True, slots=True)
class Costs:
    """`copy`: the first copy; `compare`: all octets read a second time, until READY; `round`: one round over an
    account in which nothing changed; `fence`: its last round, from the fence to the commit."""

    copy: Work
    compare: Work
    round: Work
    fence: Work

    def on_one_machine(self) -> "Costs":
        works = (self.copy, self.compare, self.round, self.fence)
        return Costs(*(work.on_one_machine() for work in works))


# Two cores of a virtual machine (2.4 GHz and up, 2026), Dovecot 2.3.19 as the source on the same machine, mail of
# 4 to 77 kB. `make bench BENCH_ARGS="--only costs"` measures them anew.
MEASURED = Costs(
    copy=Work(
        elapsed=Line(0.041, 0.22e-3, 2.9e-9),
        # Of it 0.16 ms and 2.1 ns for what is rendered behind the copy (store/renderer.py).
        worker=Line(0.032, 0.35e-3, 3.5e-9),
        host=Line(0.0010, 0.021e-3, 1.3e-9),
    ),
    compare=Work(
        elapsed=Line(0.022, 0.036e-3, 2.0e-9),
        worker=Line(0.017, 0.031e-3, 1.8e-9),
        host=Line(0.0036, 0.009e-3, 0.7e-9),
    ),
    round=Work(
        elapsed=Line(0.0067, 0.0, 0.0),
        worker=Line(0.0055, 0.0, 0.0),
        host=Line(0.0015, 0.0, 0.0),
    ),
    fence=Work(
        elapsed=Line(0.037, 0.0, 0.0),
        worker=Line(0.031, 0.0, 0.0),
        host=Line(0.003, 0.0, 0.0),
    ),
)
