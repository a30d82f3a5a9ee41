"""Two-alternative forced choice: does a distance agree with people's votes?"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class TwoAFC(Metric):
    """BAPPS' two conventions and the human rows beside them, all in 0..1.

    `judge` is the fraction of `votes` people who preferred image 1; `d0` and `d1` are distances from the
    reference (smaller is better). With p = judge:

    - `score`: mean of `[d0 < d1] (1 - p) + [d1 < d0] p + [d0 = d1] / 2` (Zhang et al. 2018, LPIPS).
    - `majority_accuracy`: share of triplets where the distance picks the majority's image; a tie of the
      distances counts half. Triplets whose votes are split evenly have no majority and are left out.
    - `human`: mean of `p^2 + (1 - p)^2`. It draws a person and their opponent from the same votes, with
      replacement, so that it is biased upwards.
    - `human_leave_one_out`: the chance that a person agrees with another one of the same triplet. Of
      n votes k for image 1, `[k (k - 1) + (n - k) (n - k - 1)] / [n (n - 1)]`, which is
      `(n human - 1) / (n - 1)`. Needs two votes or more: absent otherwise.
    - `ceiling`: mean of `max(p, 1 - p)`, the score of a metric that always picks the majority's image.

    Nothing but `n` is there while there are no triplets.
    """

    full_state_update = False
    higher_is_better = True

    points: Tensor
    majority: Tensor
    decided: Tensor
    human: Tensor
    leave_one_out: Tensor
    ceiling: Tensor
    total: Tensor

    def __init__(self, votes: int = 5) -> None:
        """`votes` per triplet: 5 in BAPPS' val, 2 in its train, 3 in its JND sets."""
        super().__init__()
        if votes < 1:
            raise ValueError(f"votes must be 1 or more, got {votes}")
        self.votes = votes
        for name in ("points", "majority", "decided", "human", "leave_one_out", "ceiling", "total"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, d0: Tensor, d1: Tensor, judge: Tensor) -> None:
        """`[N]` each."""
        d0, d1 = torch.as_tensor(d0), torch.as_tensor(d1)
        p = torch.as_tensor(judge).to(d0.device, torch.float64)
        self._check(d0, d1, p)
        first, second, tie = (d0 < d1).double(), (d1 < d0).double(), (d0 == d1).double()
        self.points += (first * (1 - p) + second * p + tie / 2).sum()
        has_majority = (p != 0.5).double()
        agrees = torch.where(p < 0.5, first, second) + tie / 2
        self.majority += (agrees * has_majority).sum()
        self.decided += has_majority.sum()
        human = p**2 + (1 - p) ** 2
        self.human += human.sum()
        if self.votes > 1:
            self.leave_one_out += ((self.votes * human - 1) / (self.votes - 1)).sum()
        self.ceiling += torch.maximum(p, 1 - p).sum()
        self.total += p.numel()

    def compute(self) -> dict[str, Tensor]:
        metrics = {"n": self.total}
        if self.total > 0:
            metrics |= {"score": self.points / self.total, "human": self.human / self.total}
            metrics["ceiling"] = self.ceiling / self.total
            if self.votes > 1:
                metrics["human_leave_one_out"] = self.leave_one_out / self.total
        if self.decided > 0:
            metrics["majority_accuracy"] = self.majority / self.decided
        return metrics

    def _check(self, d0: Tensor, d1: Tensor, judge: Tensor) -> None:
        if not d0.shape == d1.shape == judge.shape:
            shapes = f"{tuple(d0.shape)}, {tuple(d1.shape)}, {tuple(judge.shape)}"
            raise ValueError(f"d0, d1 and judge must have one shape, got {shapes}")
        if bool(torch.isnan(d0).any()) or bool(torch.isnan(d1).any()):
            raise ValueError("a distance is not a number (NaN); a tie needs equal distances")
        counts = judge * self.votes
        outside = (judge < 0) | (judge > 1) | ((counts - counts.round()).abs() > 1e-3) | torch.isnan(judge)
        if bool(outside.any()):
            bad = float(judge[outside][0])
            raise ValueError(f"judge {bad:g} is no fraction of {self.votes} votes; set TwoAFC(votes=...)")
