"""Is a curve level? What a line through the last two thirds of it rises by from their first to their last sample.

The first third warms up: caches fill, mailboxes come to their size, the vault's first mail comes of age. The line is
that of Theil and Sen, the median of the slopes between all pairs of samples: a single minute in which the disk was
somebody else's does not bend it, as it would the line of least squares; a leak, which is in every minute, does.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.soak.sample import Sample

# Of the curve's mean, and at least so much. A leak that matters is above these within an hour: 0.1 MB of memory a
# minute, a file a minute; and what a shared machine does to a curve by itself is below.
MEMORY, LEAST_MEMORY = 0.05, 6 * 2**20
COUNTS, LEAST_COUNT = 0.05, 12
# Dedupe keys stay for 14 days, some 18,000 of them from an hour of this load in each index: 2 to 3 MB.
DISK, LEAST_DISK = 0.10, 4 * 2**20
# The 99th of 100 waits for the disk's worst flush: it moves by half from minute to minute where nothing has changed.
TIMES, LEAST_TIME = 0.35, 10.0

# A verb has a p99 that is more than its worst call from so many calls a sample on.
CALLS = 200

# Fewer samples make no line.
SAMPLES = 9


@dataclass(frozen=True)
class Trend:
    name: str
    unit: str
    mean: float
    rise: float
    allowed: float

    @property
    def level(self) -> bool:
        return self.rise <= self.allowed


def tail(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The last two thirds."""
    return samples[len(samples) // 3 :]


def rise(xs: Sequence[float], ys: Sequence[float]) -> float:
    """From the first x to the last, by the line of Theil and Sen."""
    pairs = [(i, j) for i in range(len(xs)) for j in range(i) if xs[i] != xs[j]]
    slope = statistics.median((ys[i] - ys[j]) / (xs[i] - xs[j]) for i, j in pairs)
    return slope * (xs[-1] - xs[0])


def trend(
    name: str, unit: str, samples: Sequence[Sample], of: Callable[[Sample], float], part: float, least: float
) -> Trend:
    some = tail(samples)
    ys = [of(sample) for sample in some]
    mean = statistics.fmean(ys)
    return Trend(name, unit, mean, rise([each.seconds for each in some], ys), max(part * mean, least))


def _sum(sample: Sample, what: str) -> float:
    return float(sum(getattr(each, what) for each in sample.workers.values()))


def verbs(samples: Sequence[Sample]) -> list[str]:
    """Those that every sample has often enough."""
    names = sorted({name for sample in samples for name in sample.verbs})
    return [
        name
        for name in names
        if all(name in sample.verbs and sample.verbs[name].count >= CALLS for sample in tail(samples))
    ]


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """Empty where the run was too short for any."""
    if len(tail(samples)) < SAMPLES:
        return []
    found = []
    for number in range(len(samples[-1].workers)):

        def worker(sample: Sample, number: int = number) -> list[float]:
            each = list(sample.workers.values())[number]
            return [each.rss, each.own]

        found += [
            trend(
                f"worker {number}: RSS", "octets", samples, lambda s, w=worker: w(s)[0], MEMORY, LEAST_MEMORY
            ),
            trend(
                f"worker {number}: own memory", "octets", samples, lambda s, w=worker: w(s)[1], MEMORY, LEAST_MEMORY
            ),
        ]
    # Of all workers together: which of them a client comes to is chance.
    found += [
        trend("open files", "files", samples, lambda s: _sum(s, "files"), COUNTS, LEAST_COUNT),
        trend("threads", "threads", samples, lambda s: _sum(s, "threads"), COUNTS, LEAST_COUNT),
    ]
    for name in samples[-1].shards:
        for what in ("index", "wal"):
            found.append(
                trend(
                    f"shard {name}: {what}",
                    "octets",
                    samples,
                    lambda s, n=name, w=what: float(getattr(s.shards[n], w)),
                    DISK,
                    LEAST_DISK,
                )
            )
        for table in ("vault", "expunged", "leaving"):
            found.append(
                trend(
                    f"shard {name}: rows of {table}",
                    "rows",
                    samples,
                    lambda s, n=name, t=table: float(s.shards[n].rows[t]),
                    DISK,
                    500,
                )
            )
    for verb in verbs(samples):
        found.append(
            trend(f"p99 of {verb}", "ms", samples, lambda s, v=verb: s.verbs[v].p99, TIMES, LEAST_TIME)
        )
    return found
