"""Plots of what a sweep varied: every run a dot, each point's mean a line, one panel for each figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from depictqa.report.folder import Plot
from depictqa.report.plots import COLORS, as_png
from depictqa.report.points import point_values
from depictqa.report.runs import Measured

_PANEL, _ROW, _EDGE = 2.2, 0.36, 0.9
"""Inches: a panel's width, a point's height, titles and axes."""

_COLUMNS = 2


def point_plots(measured: Sequence[Measured], points: Mapping[str, str]) -> list[Plot]:
    """One for each group of figures that any run has."""
    found = point_values(measured, points)
    groups: dict[str, dict[str, dict[str, list[float]]]] = {}
    for point, by_column in found.items():
        for column, values in by_column.items():
            groups.setdefault(column.group, {}).setdefault(column.name, {})[point] = values
    plots = []
    for group, panels in groups.items():
        full = {name: values for name, values in panels.items() if any(values.values())}
        if full:
            plots.append((f"points_{group}", f"What was varied: {group}", draw(group, full)))
    return plots


def draw(title: str, panels: Mapping[str, Mapping[str, Sequence[float]]]) -> bytes:
    """Panel -> point -> a value a run. All panels have the same points, top to bottom in their order."""
    from matplotlib.figure import Figure

    names = list(next(iter(panels.values())))
    num_columns = min(_COLUMNS, len(panels))
    num_rows = -(-len(panels) // num_columns)
    size = (_PANEL * num_columns + 0.075 * max(map(len, names)), (_EDGE + _ROW * len(names)) * num_rows)
    figure = Figure(figsize=size, layout="constrained")
    every: Any = figure.subplots(num_rows, num_columns, sharey=True, squeeze=False).flatten()
    for axes, (name, points) in zip(every, panels.items(), strict=False):
        _panel(axes, name, points)
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    every[0].set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    every[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10, x=0.01, ha="left")
    return as_png(figure)


def _panel(axes: Any, name: str, points: Mapping[str, Sequence[float]]) -> None:
    for place, values in enumerate(points.values()):
        color = COLORS[place % len(COLORS)]
        axes.scatter(values, [place] * len(values), s=26, color=color, alpha=0.6, lw=0, zorder=3)
        if values:
            axes.plot([mean(values)] * 2, [place - 0.3, place + 0.3], color=color, linewidth=2.2, zorder=4)
    axes.set_title(name, fontsize=9, loc="left")
    axes.grid(axis="x", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8, color="0.6")
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.6")
