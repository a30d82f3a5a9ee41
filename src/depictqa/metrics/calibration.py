"""Is a confidence worth its number? Of answers with a confidence in 0..1 that are right (1), wrong (0), or half so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depictqa.metrics.bootstrap import HIGH, LOW, mean_interval

Floats = NDArray[np.float64]

EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Of the bins that DepictQA reports accuracy in (FACTS section 6)."""

NUM_ECE_BINS = 15


@dataclass(frozen=True)
class Bin:
    """Answers with `low < confidence <= high`, as DepictQA counts; the first bin holds its lower edge too. An empty one
    has no accuracy."""

    low: float
    high: float
    n: int
    accuracy: float | None
    confidence: float | None

    @property
    def name(self) -> str:
        return f"{self.low:g}-{self.high:g}"


def accuracy_per_bin(confidence: ArrayLike, correct: ArrayLike, edges: Sequence[float] = EDGES) -> list[Bin]:
    """Accuracy and mean confidence of each bin; also what a reliability plot draws."""
    sure, right = _checked(confidence, correct)
    place = _places(sure, edges)
    bins = []
    for index, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = place == index
        n = int(inside.sum())
        means = (float(right[inside].mean()), float(sure[inside].mean())) if n else (None, None)
        bins.append(Bin(low, high, n, *means))
    return bins


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, num_bins: int = NUM_ECE_BINS) -> float:
    """`sum over bins of n_b / n |accuracy_b - confidence_b|`, equal bins (Naeini et al. 2015, Guo et al. 2017)."""
    bins = accuracy_per_bin(confidence, correct, np.linspace(0, 1, num_bins + 1).tolist())
    total = sum(one.n for one in bins)
    gaps = ((one.n, one.accuracy, one.confidence) for one in bins)
    return sum(n / total * abs(a - c) for n, a, c in gaps if a is not None and c is not None)


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    """Coverage [N] = k / N and risk [N], the share of errors among the k surest answers: El-Yaniv and Wiener 2010.

    Among equally sure answers the order is chance, so each has the mean error of all of them.
    """
    sure, right = _checked(confidence, correct)
    _, group = np.unique(-sure, return_inverse=True)  # 0 = the surest
    errors = (np.bincount(group, 1 - right) / np.bincount(group))[np.sort(group)]
    count = np.arange(1, len(sure) + 1)
    return count / len(sure), np.cumsum(errors) / count


def area_under_risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean risk over all coverages (Geifman et al. 2019, AURC), smaller is better; the error rate for a confidence
    that says nothing."""
    return float(risk_coverage(confidence, correct)[1].mean())


def calibration_metrics(confidence: ArrayLike, correct: ArrayLike) -> dict[str, float]:
    """Flat figures: `ece`, `aurc` beside `aurc_best` (of a confidence that puts every right answer first), and
    `accuracy_<low>-<high>` (with the ends of its 95 % bootstrap interval, `..._low` and `..._high`),
    `confidence_<low>-<high>` (their mean) and `n_<low>-<high>` of each bin that holds an answer. Nothing for no
    answers."""
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if not sure.size and not right.size:
        return {}
    metrics = {
        "ece": expected_calibration_error(sure, right),
        "aurc": area_under_risk_coverage(sure, right),
        "aurc_best": area_under_risk_coverage(right, right),
    }
    place = _places(_checked(sure, right)[0], EDGES)
    for number, one in enumerate(accuracy_per_bin(sure, right)):
        if one.accuracy is not None and one.confidence is not None:
            accuracy = f"accuracy_{one.name}"
            low, high = mean_interval(right[place == number])
            metrics |= {accuracy: one.accuracy, f"{accuracy}{LOW}": low, f"{accuracy}{HIGH}": high}
            metrics |= {f"confidence_{one.name}": one.confidence, f"n_{one.name}": float(one.n)}
    return metrics


def _places(sure: Floats, edges: Sequence[float]) -> NDArray[np.intp]:
    """The number of each confidence's bin."""
    return np.clip(np.searchsorted(edges, sure) - 1, 0, len(edges) - 2)


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise ValueError(f"confidence and correct must be two lists of one length, got {sure.shape} and {right.shape}")
    if not len(sure):
        raise ValueError("no answer has a confidence, so there is nothing to calibrate")
    sure = np.where((sure > 1) & (sure < 1 + 1e-5), 1.0, sure)  # a softmax in float32 may end a little above 1
    for name, values in (("confidence", sure), ("correct", right)):
        if not ((values >= 0) & (values <= 1)).all():  # also NaN
            bad = values[~((values >= 0) & (values <= 1))][0]
            raise ValueError(f"{name} {bad:g} is not in 0..1")
    return sure, right
