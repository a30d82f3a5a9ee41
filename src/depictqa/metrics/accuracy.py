"""How often the better image is picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depictqa.metrics.bootstrap import mean_figures

TIE = "tie"


def comparison_accuracy(picked: Sequence[str | None], better: Sequence[str]) -> dict[str, float]:
    """Shares in 0..1 over pairs of the picked and the truly better slot.

    `picked` is None where the answer could not be parsed, and `TIE` where a metric rates both images
    alike, which counts half (as it does in 2AFC). `accuracy` is over all pairs, so that an answer that
    cannot be parsed is wrong; `accuracy_parsed` only over those with one, and is absent if there is none.
    Both have the ends of their 95 % bootstrap interval over pairs, `_low` and `_high`. An empty set gives
    `{"n": 0}` and no accuracy.
    """
    assert len(picked) == len(better), (len(picked), len(better))
    if not better:
        return {"n": 0.0}
    points = np.array([0.5 if p == TIE else float(p == b) for p, b in zip(picked, better, strict=True)])
    parsed = np.array([p is not None for p in picked])
    metrics = {"share_parsed": float(parsed.mean()), "n": float(len(better))}
    for name, some in (("accuracy", points), ("accuracy_parsed", points[parsed])):
        metrics |= mean_figures(name, some)
    return metrics
