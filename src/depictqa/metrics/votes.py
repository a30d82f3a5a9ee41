"""Scores of images from choices between two of them.

A choice between `first` and `second` is a share in 0..1 that goes to `first`: the model's probability that it is the
better one (c where it picks `first` with confidence c, 1 - c where it picks `second`), or 1 / 0 without confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from depictqa.metrics.correlation_interval import correlation_figures

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Vote:
    """`share` of the vote goes to `first`, the rest to `second`."""

    first: str
    second: str
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"vote {self.first} against {self.second}: share {self.share} is not in 0..1")
        if self.first == self.second:
            raise ValueError(f"vote: '{self.first}' stands against itself")

    @property
    def decided(self) -> Vote:
        """All of the vote to the side that has more of it; an even one stays."""
        return Vote(self.first, self.second, 0.5 + 0.5 * float(np.sign(self.share - 0.5)))


def mean_of_wins(votes: Sequence[Vote]) -> dict[str, float]:
    """Item -> the share of its votes that it wins, in 0..1; an even vote counts half (FACTS section 7)."""
    return mean_of_confidences([vote.decided for vote in votes])


def mean_of_confidences(votes: Sequence[Vote]) -> dict[str, float]:
    """Item -> the mean of c where it is picked and of 1 - c where it is not, in 0..1."""
    sums: dict[str, list[float]] = {}
    for vote in votes:
        sums.setdefault(vote.first, []).append(vote.share)
        sums.setdefault(vote.second, []).append(1 - vote.share)
    return {item: sum(shares) / len(shares) for item, shares in sums.items()}


def bradley_terry(votes: Sequence[Vote], prior: float = 0.1) -> dict[str, float]:
    """Item -> log strength, with `P(i beats j) = 1 / (1 + exp(strength_j - strength_i))`, mean 0.

    Maximum likelihood of Bradley and Terry 1952 with shares as fractions of wins. The likelihood is concave in the log
    strengths (Hunter 2004, whose MM algorithm finds the same point) and climbed by L-BFGS, which perfectly ordered
    items do not slow down. Each item also wins `prior` and loses `prior` against one of strength 0: so one that always
    wins, or is never compared with some others, has a finite strength. Strengths of items that no chain of votes joins
    (other references) share that zero, and nothing else.
    """
    if not prior > 0:
        raise ValueError(f"prior must be above 0, got {prior}: without it an item that always wins has no strength")
    if not votes:
        return {}
    items = list(dict.fromkeys(name for vote in votes for name in (vote.first, vote.second)))
    number = {item: index for index, item in enumerate(items)}
    first = np.array([number[vote.first] for vote in votes])
    second = np.array([number[vote.second] for vote in votes])
    share = np.array([vote.share for vote in votes])

    def loss(strengths: Floats) -> tuple[float, Floats]:
        ahead = strengths[first] - strengths[second]
        # -log of a logistic probability is logaddexp(0, -x): exact for large x
        value = share @ np.logaddexp(0, -ahead) + (1 - share) @ np.logaddexp(0, ahead)
        value += prior * (np.logaddexp(0, -strengths) + np.logaddexp(0, strengths)).sum()
        surplus = expit(ahead) - share
        slope = np.bincount(first, surplus, len(items)) - np.bincount(second, surplus, len(items))
        return float(value), slope + prior * (2 * expit(strengths) - 1)

    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-14, "gtol": 1e-7}
    found = minimize(loss, np.zeros(len(items)), jac=True, method="L-BFGS-B", options=options)
    if np.abs(loss(found.x)[1]).max() > 1e-2:
        raise ValueError(f"Bradley-Terry on {len(items)} items did not converge ({found.message}); raise prior")
    centred = found.x - found.x.mean()
    return dict(zip(items, centred.tolist(), strict=True))


SCORES: Mapping[str, Callable[[Sequence[Vote]], dict[str, float]]] = {
    "wins": mean_of_wins,
    "confidences": mean_of_confidences,
    "bradley_terry_wins": lambda votes: bradley_terry([vote.decided for vote in votes]),
    "bradley_terry_confidences": bradley_terry,
}
"""Each with and without confidence."""


WITHOUT_CONFIDENCE = ("wins", "bradley_terry_wins")
"""Those that only ask who has more of a vote."""


def vote_figures(
    votes: Sequence[Vote],
    mos: Mapping[str, float],
    references: Mapping[str, Hashable],
    names: Collection[str] = tuple(SCORES),
) -> dict[str, float]:
    """`<score>/<figure>` of `correlation_figures` for each of `names` among `SCORES`, and `num_votes`. `mos` (larger is
    better) and `references` are by item; an item of a vote that they lack is named in a ValueError.

    Items only meet those of their own reference, so that over the whole set their scores say how they stand among
    those, and nothing of how the references compare: `per_reference/...` is the figure that papers give.
    """
    figures = {"num_votes": float(len(votes))}
    for name in names:
        scores = SCORES[name](votes)
        if missing := [item for item in scores if item not in mos or item not in references]:
            raise ValueError(f"'{missing[0]}' has votes, but no MOS or no reference; {len(missing)} such items")
        found = correlation_figures(
            list(scores.values()), [mos[item] for item in scores], [references[item] for item in scores]
        )
        figures |= {f"{name}/{figure}": value for figure, value in found.items()}
    return figures
