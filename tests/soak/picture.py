"""Two pictures of a run: what clients wait for, and what the platform takes up, minute by minute."""

from collections.abc import Callable, Sequence

import pygal

from tests.bench.picture import STYLE
from tests.soak.sample import Sample
from tests.soak.verdict import verbs

_MB = 2**20


def draw_times(samples: Sequence[Sample]) -> str:
    """p99 of each verb. The axis is logarithmic: a level curve is level wherever it lies."""
    chart = _chart("The slowest of 100, in milliseconds", "ms", logarithmic=True)
    for verb in verbs(samples) or sorted(samples[-1].verbs):
        points = [(s.seconds / 60, s.verbs[verb].p99) for s in samples if verb in s.verbs]
        chart.add(verb, points)
    return str(chart.render(is_unicode=True))


def draw_sizes(samples: Sequence[Sample]) -> str:
    chart = _chart("Memory and disk, in MB; files and threads, in tens", "")
    for number in range(len(samples[-1].workers)):
        for name, of in _PROCESS:
            points = [(s.seconds / 60, of(list(s.workers.values())[number])) for s in samples]
            chart.add(f"worker {number}, {name}", points)
    for name in samples[-1].shards:
        chart.add(f"{name}, index", [(s.seconds / 60, s.shards[name].index / _MB) for s in samples])
        chart.add(f"{name}, log", [(s.seconds / 60, s.shards[name].wal / _MB) for s in samples])
    return str(chart.render(is_unicode=True))


_PROCESS: tuple[tuple[str, Callable[..., float]], ...] = (
    ("RSS", lambda process: process.rss / _MB),
    ("files", lambda process: process.files / 10),
    ("threads", lambda process: process.threads / 10),
)


def _chart(title: str, unit: str, *, logarithmic: bool = False) -> pygal.XY:
    return pygal.XY(
        title=title,
        x_title="minutes",
        logarithmic=logarithmic,
        style=STYLE,
        legend_at_bottom=True,
        legend_at_bottom_columns=6,
        js=(),
        dots_size=1.5,
        width=960,
        height=560,
        value_formatter=lambda value: f"{value:.4g} {unit}".strip(),
        x_value_formatter=lambda value: f"{value:.0f}",
    )
