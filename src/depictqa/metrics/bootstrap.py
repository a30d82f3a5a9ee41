"""How far a mean would move with other items of the same kind: the percentile bootstrap."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000


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
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=NUM_RESAMPLES)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ different / len(values), [tail, 1 - tail])
    return float(low), float(high)
