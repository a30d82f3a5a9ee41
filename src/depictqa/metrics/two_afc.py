"""Two-alternative forced choice: does a distance agree with people's votes?"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from depictqa.metrics.triplets import human_points, triplet_points

UNNUMBERED = -1
_COLUMNS = 4  # of a triplet's row in `TwoAFC.rows`: its number, points, points by the majority, judgement


class TwoAFC(Metric):
    """BAPPS' two conventions and the human rows beside them, all in 0..1.

    `judge` is the fraction of `votes` people who preferred image 1; `d0` and `d1` are distances from the
    reference (smaller is better). With p = judge:

    - `score` and `majority_accuracy`: means of `triplet_points`. Triplets whose votes are split evenly have no
      majority and are left out of the second.
    - `human`: mean of `p^2 + (1 - p)^2`. It draws a person and their opponent from the same votes, with
      replacement, so that it is biased upwards.
    - `human_leave_one_out`: the chance that a person agrees with another one of the same triplet. Of
      n votes k for image 1, `[k (k - 1) + (n - k) (n - k - 1)] / [n (n - 1)]`, which is
      `(n human - 1) / (n - 1)`. Needs two votes or more: absent otherwise.
    - `ceiling`: mean of `max(p, 1 - p)`, the score of a metric that always picks the majority's image.

    Nothing but `n` is there while there are no triplets. Over several processes, rows are gathered; a sampler that
    pads repeats triplets, which only their numbers (`update(..., index)`) tell apart from new ones.
    """

    full_state_update = False
    higher_is_better = True

    rows: list[Tensor]

    def __init__(self, votes: int = 5) -> None:
        """`votes` per triplet: 5 in BAPPS' val, 2 in its train, 3 in its JND sets."""
        super().__init__()
        if votes < 1:
            raise ValueError(f"votes must be 1 or more, got {votes}")
        self.votes = votes
        # one row of numbers, in double precision: a process without triplets gathers an empty one of the same kind
        self.set_dtype(torch.float64)
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, d0: Tensor, d1: Tensor, judge: Tensor, index: Tensor | None = None) -> None:
        """`[N]` each. `index` numbers the triplets, from 0: one that comes again is not counted again."""
        d0, d1 = torch.as_tensor(d0), torch.as_tensor(d1)
        p = torch.as_tensor(judge).to(d0.device, torch.float64)
        number = torch.full_like(p, UNNUMBERED) if index is None else torch.as_tensor(index).to(p)
        self._check(d0, d1, p, number)
        self.rows.append(torch.stack([number, *triplet_points(d0, d1, p), p], dim=-1).flatten())

    def compute(self) -> dict[str, Tensor]:
        rows = self.rows if isinstance(self.rows, Tensor) else torch.cat(self.rows or [torch.empty(0)])
        number, score, majority, judge = _once(rows.double().reshape(-1, _COLUMNS)).unbind(-1)
        metrics = {"n": torch.tensor(float(len(number)), dtype=torch.float64)}
        if len(number):
            metrics["score"] = score.mean()
            metrics |= {name: points.mean() for name, points in human_points(judge, self.votes).items()}
        if bool((judge != 0.5).any()):
            metrics["majority_accuracy"] = majority.nanmean()
        return metrics

    def _check(self, d0: Tensor, d1: Tensor, judge: Tensor, number: Tensor) -> None:
        if not d0.shape == d1.shape == judge.shape == number.shape:
            shapes = f"{tuple(d0.shape)}, {tuple(d1.shape)}, {tuple(judge.shape)}, {tuple(number.shape)}"
            raise ValueError(f"d0, d1, judge and index must have one shape, got {shapes}")
        if bool(torch.isnan(d0).any()) or bool(torch.isnan(d1).any()):
            raise ValueError("a distance is not a number (NaN); a tie needs equal distances")
        counts = judge * self.votes
        outside = (judge < 0) | (judge > 1) | ((counts - counts.round()).abs() > 1e-3) | torch.isnan(judge)
        if bool(outside.any()):
            bad = float(judge[outside][0])
            raise ValueError(f"judge {bad:g} is no fraction of {self.votes} votes; set TwoAFC(votes=...)")


def _once(rows: Tensor) -> Tensor:
    """`[M, 4]` rows without those whose number was there before, in ascending number; unnumbered ones all."""
    numbered = rows[rows[:, 0] != UNNUMBERED]
    ordered = numbered[torch.sort(numbered[:, 0], stable=True).indices]
    new = torch.ones(len(ordered), dtype=torch.bool, device=rows.device)
    new[1:] = ordered[1:, 0] != ordered[:-1, 0]
    return torch.cat([rows[rows[:, 0] == UNNUMBERED], ordered[new]])
