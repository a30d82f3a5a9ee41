"""What one triplet is worth in two-alternative forced choice, to a distance and to people: tensors to tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def triplet_points(d0: Tensor, d1: Tensor, judge: Tensor) -> tuple[Tensor, Tensor]:
    """`[N]` distances and fractions that preferred image 1 -> each triplet's points in the two conventions, in 0..1.

    With p = judge the first is `[d0 < d1] (1 - p) + [d1 < d0] p + [d0 = d1] / 2` (Zhang et al. 2018, LPIPS). The
    second is whether the distance picks the majority's image, a tie of the distances counting half; NaN where the
    votes are split evenly. Distances that are NaN stand for no answer: no points.
    """
    p = judge.double()
    first, second, tie = (d0 < d1).double(), (d1 < d0).double(), (d0 == d1).double()
    majority = torch.where(p < 0.5, first, second) + tie / 2
    return first * (1 - p) + second * p + tie / 2, majority.masked_fill(p == 0.5, torch.nan)


def human_points(judge: Tensor, votes: int) -> dict[str, Tensor]:
    """`[N]` fractions of `votes` people -> the human rows of each triplet, as `TwoAFC` names them."""
    p = judge.double()
    human = p**2 + (1 - p) ** 2
    rows = {"human": human, "ceiling": torch.maximum(p, 1 - p)}
    if votes > 1:
        rows["human_leave_one_out"] = (votes * human - 1) / (votes - 1)
    return rows
