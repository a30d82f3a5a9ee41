"""How far a mean would move with other items of the same kind: the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
LOW, HIGH, COUNT = "_low", "_high", "_n"
"""What the names of an interval's ends, and of the number of items, add to their figure's."""


def mean_interval(values: np.ndarray, confidence: float = CONFIDENCE, seed: int = 0) -> tuple[float, float]:
    """`[N]` values of independent items -> the ends of the interval of their mean (Efron and Tibshirani 1993,
    ch. 13). `seed` fixes the resamples, so that the same values give the same interval.

    Drawing N of N items with replacement is drawing how often each different value occurs, from a multinomial: exact,
    and quick where few values are different, as votes make them.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"an interval needs a row of finite values, got shape {values.shape}")
    different, counts = np.unique(values, return_counts=True)
    return tail_quantiles(resamples(counts, seed) @ different / len(values), confidence)


def mean_figures(name: str, values: np.ndarray | Sequence[float]) -> dict[str, float]:
    """The mean of independent items and the ends of its interval, `name`, `name_low`, `name_high`; nothing of none."""
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return {}
    low, high = mean_interval(values)
    return {name: float(values.mean()), f"{name}{LOW}": low, f"{name}{HIGH}": high}


def share_interval(
    points: np.ndarray, asked: np.ndarray, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float]:
    """`[N, F]` points of N independent items in F kinds of question, of so many `asked` -> the ends of the interval of
    the mean over kinds of `sum points / sum asked`.

    An item's questions stand or fall together (an answer about two images, or about all fields of one), so that whole
    items are drawn. A kind that a resample does not ask is left out of its mean.
    """
    points, asked = np.asarray(points, dtype=np.float64), np.asarray(asked, dtype=np.float64)
    if points.ndim != 2 or points.shape != asked.shape or not points.size or not asked.sum(axis=0).all():
        raise ValueError(f"an interval needs points and asked alike, every kind asked, got {points.shape}")
    different, counts = np.unique(np.concatenate([points, asked], axis=1), axis=0, return_counts=True)
    sums = resamples(counts, seed) @ different
    right, total = np.split(sums, 2, axis=1)
    shares = np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)
    means = np.nanmean(shares[~np.isnan(shares).all(axis=1)], axis=1)
    return tail_quantiles(means, confidence)


def resamples(counts: np.ndarray, seed: int) -> np.ndarray:
    """How often each different item occurs in each resample, from how often it occurs."""
    return np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=NUM_RESAMPLES)


def tail_quantiles(figures: np.ndarray | Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The ends of the percentile interval, from the figures of the resamples."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.asarray(figures), [tail, 1 - tail])
    return float(low), float(high)
