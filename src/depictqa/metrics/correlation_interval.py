"""How far correlations with people's scores would move with other images of the same kind."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depictqa.metrics.bootstrap import CONFIDENCE, HIGH, LOW, mean_interval, resamples, tail_quantiles
from depictqa.metrics.correlation import MIN_FIT, correlate, correlate_by_reference, fit_logistic

Floats = NDArray[np.float64]

_NAMES = ("srcc", "plcc", "plcc_linear")


def correlation_intervals(
    scores: ArrayLike,
    mos: ArrayLike,
    drawn_together: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, float]:
    """The ends of the bootstrap intervals of `depictqa.metrics.correlation.correlate`: `srcc_low`, `srcc_high`,
    `plcc_low`, `plcc_high`.

    Images of one reference rise and fall together: images of equal `drawn_together` are drawn as one. The logistic
    curve is the one of all images, not fitted again for each resample. Nothing below five images or two groups; a
    resample whose scores or MOS are all equal is left out.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(mos, dtype=np.float64)
    groups = np.arange(len(x)) if drawn_together is None else _numbers(drawn_together)
    num_groups = int(groups.max(initial=-1)) + 1
    if len(x) < MIN_FIT or num_groups < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {}
    fit = fit_logistic(x, y)
    sign = -1.0 if fit.falls else 1.0
    places = [np.unique(values, return_inverse=True)[1] for values in (x, y)]
    found: dict[str, list[float]] = {"srcc": [], "plcc": []}
    for drawn in resamples(np.ones(num_groups, dtype=np.int64), seed):
        times = drawn[groups].astype(np.float64)
        srcc = _weighted_pearson(_ranks(places[0], times), _ranks(places[1], times), times)
        plcc = _weighted_pearson(fit.values, y, times)
        for name, value in (("srcc", srcc), ("plcc", sign * plcc)):
            if np.isfinite(value):
                found[name].append(value)
    ends: dict[str, float] = {}
    for name, values in found.items():
        if values:
            ends[f"{name}{LOW}"], ends[f"{name}{HIGH}"] = tail_quantiles(values, confidence)
    return ends


def correlation_figures(
    scores: ArrayLike, mos: ArrayLike, references: Sequence[Hashable] | None = None
) -> dict[str, float]:
    """Figures of `correlate`, or with `references` those of `ByReference`, with their intervals: over images, or over
    whole references. `per_reference/srcc_low` and so on are of the mean over references."""
    if references is None:
        one = correlate(scores, mos)
        return {name: getattr(one, name) for name in _NAMES} | {"n": float(one.n)} | correlation_intervals(scores, mos)
    found = correlate_by_reference(scores, mos, references)
    figures = found.figures() | correlation_intervals(scores, mos, references)
    for name in _NAMES if len(found.references) > 1 else ():
        low, high = mean_interval(np.array([getattr(one, name) for one in found.references.values()]))
        figures |= {f"per_reference/{name}{LOW}": low, f"per_reference/{name}{HIGH}": high}
    return figures


def _numbers(names: Sequence[Hashable]) -> NDArray[np.int64]:
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names])


def _ranks(places: NDArray, times: Floats) -> Floats:
    """Mean rank of each value, equal ones sharing theirs, where it stands there so many `times`; `places` are those
    among the different values."""
    counts = np.bincount(places, times)
    return (np.cumsum(counts) - counts + (counts + 1) / 2)[places]


def _weighted_pearson(x: Floats, y: Floats, times: Floats) -> float:
    """NaN where either is constant."""
    total = times.sum()
    dx, dy = x - times @ x / total, y - times @ y / total
    spread = (times @ dx**2) * (times @ dy**2)
    scale = (times @ x**2) * (times @ y**2)
    return float(times @ (dx * dy) / np.sqrt(spread)) if spread > 1e-24 * scale else float("nan")
