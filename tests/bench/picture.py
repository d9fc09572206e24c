"""Curves as an SVG that stands alone: no script, no font and no colour scheme from elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import pygal
from pygal.style import Style

STYLE = Style(
    background="#ffffff",
    plot_background="#ffffff",
    foreground="#333333",
    foreground_strong="#111111",
    foreground_subtle="#777777",
    colors=("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f"),
    font_family="sans-serif",
    stroke_width=2.5,
)


class Point(Protocol):
    """Milliseconds at a size, and those of a small platform at the same time."""

    size: int
    costs: Mapping[str, float]
    beside: Mapping[str, float]


# What must not grow, and is shown.
COSTS = ("login", "SELECT", "APPEND", "FETCH of 20", "told in IDLE")


def draw(curves: Mapping[str, Sequence[Point]]) -> str:
    """One curve for each cost and each unit; both axes are logarithmic, so a cost that grows with the size is a
    slope, and one that does not is level and near 1."""
    chart = pygal.XY(
        title="What a client waits for, times what it waits for on a small platform beside",
        x_title="messages in the mailbox, or accounts on the node",
        logarithmic=True,
        xrange=(1, 2_000_000),
        style=STYLE,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        js=(),
        include_x_axis=False,
        width=960,
        height=560,
        x_labels=[10**power for power in range(7)],
        truncate_label=-1,
        y_labels=[0.1, 0.2, 0.5, 1, 2, 5, 10],
        value_formatter=lambda value: f"{value:.3g}",
        x_value_formatter=lambda value: f"{value:,.0f}",
    )
    for unit, rows in curves.items():
        for cost in COSTS:
            chart.add(f"{cost}, by {unit}", [(row.size, row.costs[cost] / row.beside[cost]) for row in rows])
    return str(chart.render(is_unicode=True))
