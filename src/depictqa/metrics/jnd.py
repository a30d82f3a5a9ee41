"""Do distances tell what people cannot tell apart? Mean average precision on just-noticeable differences.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric": pairs are sorted by their
distance, those that people took for the same should come first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depictqa.metrics.bootstrap import CONFIDENCE, resamples, tail_quantiles

Floats = NDArray[np.float64]


def average_precision(distances: ArrayLike, same: ArrayLike) -> float:
    """In 0..1: the area under precision over recall, the pairs being found in order of `distances` [N].

    `same` [N] is the fraction of people who took a pair for the same: it counts as so much of a hit, and the rest of it
    as a false alarm. Precision is the best at that recall or beyond it (the envelope of PASCAL VOC 2010), as in the
    authors' code. Pairs of equal distance come all at once, so that their order does not matter (there, it is that of
    the sort). ValueError where no pair is the same to anybody.
    """
    distances, same = _checked(distances, same)
    order, ends = _order(distances)
    return _area(same[order], np.ones(len(same)), ends)


def average_precision_interval(
    distances: ArrayLike, same: ArrayLike, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float]:
    """The ends of its bootstrap interval over pairs; resamples that nobody finds any same pair in are left out."""
    distances, same = _checked(distances, same)
    order, ends = _order(distances)
    same = same[order]
    drawn = resamples(np.ones(len(same), dtype=np.int64), seed)
    return tail_quantiles([_area(same, times, ends) for times in drawn if times @ same > 0], confidence)


def _order(distances: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of rising distance, and in it the last place of each different distance."""
    order = np.argsort(distances, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(distances[order]) > 0, True))
    return order, ends


def _area(same: Floats, times: NDArray, ends: NDArray[np.int64]) -> float:
    """Of pairs in order, each standing there so many `times`."""
    found, all_found = np.cumsum(times * same)[ends], np.cumsum(times)[ends]
    precision = np.divide(found, all_found, out=np.zeros_like(found), where=all_found > 0)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.diff(found / found[-1], prepend=0.0) @ envelope)


def _checked(distances: ArrayLike, same: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(distances, dtype=np.float64), np.asarray(same, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not np.isfinite(x).all():
        raise ValueError(f"distances and same must be two rows of finite numbers, got shapes {x.shape} and {y.shape}")
    if not ((y >= 0) & (y <= 1)).all() or not y.any():
        raise ValueError("same must be fractions in 0..1, and of some pair above 0: else nothing can be found")
    return x, y
