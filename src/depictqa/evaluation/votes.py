"""Comparisons against people's votes: both conventions of two-alternative forced choice beside the human rows, of
each subset and of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from depictqa.evaluation.result import Result
from depictqa.metrics.accuracy import TIE
from depictqa.metrics.bootstrap import COUNT, mean_figures
from depictqa.metrics.triplets import human_points, triplet_points
from depictqa.sample import Task

OVERALL = "overall"
ANSWER, SCORES = "answer", "scores"
"""What picks an image: what was read from the words, or the larger of the scores (a model's A against B in logits)."""
TWO_AFC, MAJORITY = "two_afc", "majority_accuracy"
HUMANS = ("human", "human_leave_one_out", "ceiling")
PREFIX = "votes"

_NO_ANSWER = (float("nan"), float("nan"))
_EXCHANGED = {"a": "b", "b": "a"}


def vote_figures(results: Sequence[Result]) -> dict[str, float]:
    """Figures of one model's results that have votes, `votes/SUBSET/...`; nothing where none has.

    Of each subset and `overall` (all triplets alike): `n`; `human`, `human_leave_one_out` (where the number of votes
    is known, and two or more) and `ceiling`; by `answer/` and by `scores/`: `two_afc` and `majority_accuracy`, both
    over all triplets, so that an answer that cannot be read gets no points; nor do words that find both alike, while
    equal scores get half, as ties of distances do. `answer/share_parsed`, and `answer/share_a` of the images picked.
    Each mean has the ends of its 95 % bootstrap interval over triplets, `_low` and `_high`, and
    their number, `_n` (a split vote has no majority).

    Pairs that were also asked in the other order count once in these; `answer/` and `scores/swap_consistency` are the
    share of them that got the same image both times, and `num_swapped` their number.
    """
    voted = [result for result in results if result.task is Task.COMPARISON and "vote" in result.truth]
    subsets = sorted({result.subset for result in voted if result.subset is not None})
    figures: dict[str, float] = {}
    for subset in (*subsets, OVERALL):
        some = [result for result in voted if subset in (OVERALL, result.subset)]
        figures |= {f"{PREFIX}/{subset}/{name}": value for name, value in _figures(some).items()}
    return figures


def _figures(results: Sequence[Result]) -> dict[str, float]:
    asked = [result for result in results if result.swap_of is None]
    if not asked:
        return {}
    figures = {"n": float(len(asked))} | _humans(asked)
    pairs = _pairs(results)
    if pairs:
        figures["num_swapped"] = float(len(pairs))
    for kind, pick in ((ANSWER, _picked), (SCORES, higher)):
        if kind == SCORES and not any(map(has_scores, asked)):
            continue
        judge = torch.tensor([result.truth["vote"] for result in asked], dtype=torch.float64)
        distances = torch.tensor([_distances(pick(result)) for result in asked], dtype=torch.float64)
        points, majority = triplet_points(distances[:, 0], distances[:, 1], judge)
        found = _mean(TWO_AFC, points) | _mean(MAJORITY, majority)
        picks = [(pick(first), pick(second)) for first, second in pairs]
        if picks:
            found |= _mean("swap_consistency", torch.tensor([_is_same(*both) for both in picks], dtype=torch.float64))
        chosen = [pick(result) for result in results if pick(result) in ("a", "b")]
        if chosen:
            found["share_a"] = chosen.count("a") / len(chosen)
        if kind == ANSWER:
            found["share_parsed"] = sum(result.parsed is not None for result in asked) / len(asked)
        figures |= {f"{kind}/{name}": value for name, value in found.items()}
    return figures


def _humans(asked: Sequence[Result]) -> dict[str, float]:
    """Of triplets with different numbers of votes each by its own; the rows that all of them have."""
    rows = []
    for votes in {result.truth.get("num_votes", 1) for result in asked}:
        alike = [result.truth["vote"] for result in asked if result.truth.get("num_votes", 1) == votes]
        rows.append(human_points(torch.tensor(alike, dtype=torch.float64), votes))
    shared = [name for name in HUMANS if all(name in points for points in rows)]
    figures: dict[str, float] = {}
    for name in shared:
        figures |= _mean(name, torch.cat([points[name] for points in rows]))
    return figures


def _mean(name: str, points: Tensor) -> dict[str, float]:
    """The mean of what is no NaN and its interval; nothing where there is none."""
    values = points.numpy()
    values = values[~np.isnan(values)]
    return mean_figures(name, values) | ({f"{name}{COUNT}": float(len(values))} if len(values) else {})


def _distances(pick: str | None) -> tuple[float, float]:
    """Those of a metric that picks so."""
    return {"a": (0.0, 1.0), "b": (1.0, 0.0), TIE: (0.0, 0.0)}.get(pick or "", _NO_ANSWER)


def _picked(result: Result) -> str | None:
    return (result.parsed or {}).get("better")


def higher(result: Result) -> str | None:
    """The slot of the larger score, or a tie; None without scores."""
    if not has_scores(result):
        return None
    a, b = result.scores["a"], result.scores["b"]
    return TIE if a == b else "a" if a > b else "b"


def has_scores(result: Result) -> bool:
    return result.scores.keys() >= {"a", "b"}


def _pairs(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Results of one pair in both orders, where there are answers to both."""
    asked = {result.key: result for result in results if result.swap_of is None}
    both = [(asked[r.swap_of], r) for r in results if r.swap_of is not None and r.swap_of in asked]
    return [(first, second) for first, second in both if first.error is None and second.error is None]


def _is_same(first: str | None, second: str | None) -> bool:
    """Whether both picks, of A and B and of B and A, are the same image, or the same other stand."""
    return first is not None and second is not None and first == _EXCHANGED.get(second, second)
