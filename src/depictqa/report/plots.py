"""Plots of confidence as PNG: is an answer right as often as it is sure, and what do the surest answers risk?"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from depictqa.metrics.calibration import accuracy_per_bin, area_under_risk_coverage, risk_coverage

Answers = tuple[Sequence[float], Sequence[bool]]
"""Confidences, and whether each answer is right."""

COLORS = ("#2f6690", "#c8553d", "#5b8e7d", "#8e6c8a", "#c99a2e", "#5c677d", "#3a86a8", "#9b2226")
"""Of the methods, in turn."""

_DPI = 160


def reliability(title: str, methods: Mapping[str, Answers]) -> bytes:
    """Accuracy over mean confidence of each bin; the area of a point is the share of the answers in it."""
    figure, axes = _figure(title)
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, linestyle="--", zorder=1)
    for (name, (sure, right)), color in zip(methods.items(), _colors(len(methods)), strict=True):
        bins = [one for one in accuracy_per_bin(sure, right) if one.n]
        x, y = [one.confidence for one in bins], [one.accuracy for one in bins]
        axes.plot(x, y, color=color, linewidth=1.4, alpha=0.8, zorder=2)
        axes.scatter(x, y, s=[12 + 260 * one.n / len(sure) for one in bins], color=color, alpha=0.85, zorder=3, lw=0)
        axes.plot([], [], color=color, marker="o", markersize=5, label=f"{_plain(name)}, n={len(sure):,}")
    axes.set(xlabel="mean confidence of a bin", ylabel="accuracy", xlim=(0, 1.02), ylim=(-0.02, 1.02))
    return _png(figure, axes)


def risk_over_coverage(title: str, methods: Mapping[str, Answers]) -> bytes:
    """Share of errors among the surest answers, over how many of all answers these are."""
    figure, axes = _figure(title)
    for (name, (sure, right)), color in zip(methods.items(), _colors(len(methods)), strict=True):
        coverage, risk = risk_coverage(sure, right)
        axes.plot(coverage, risk, color=color, linewidth=1.6, label=f"{_plain(name)}, AURC {_aurc(sure, right)}")
        axes.axhline(float(risk[-1]), color=color, linewidth=0.8, linestyle=":", alpha=0.7)
    axes.set(xlabel="coverage: share of the answers, surest first", ylabel="risk: share of errors", xlim=(0, 1.02))
    axes.set_ylim(bottom=-0.02)
    return _png(figure, axes)


def _aurc(sure: Sequence[float], right: Sequence[bool]) -> str:
    return f"{area_under_risk_coverage(sure, right):.3f}"


def _plain(text: str) -> str:
    """Without formulas, and not hidden from the legend as names that begin with `_` are."""
    return text.replace("$", r"\$").lstrip("_")


def _colors(num: int) -> list[str]:
    return [COLORS[place % len(COLORS)] for place in range(num)]


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(_plain(title), fontsize=10, loc="left")
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Any, axes: Any) -> bytes:
    axes.tick_params(labelsize=8, color="0.6")
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.6")
    axes.legend(fontsize=8, frameon=False, loc="best")
    return as_png(figure)


def as_png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
