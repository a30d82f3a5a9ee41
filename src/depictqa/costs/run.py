"""How long a run takes, from the operations of its samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depictqa.costs.flops import FlopCounter


@dataclass(frozen=True)
class Workload:
    """An epoch of `draws`, known by some of them."""

    draws: int
    tokens: np.ndarray  # [n] of their streams
    supervised: np.ndarray  # [n] of them
    patches: np.ndarray  # [n, images], 0 where there is none

    @property
    def images(self) -> float:
        """A draw's, on average."""
        return float((self.patches > 0).sum(1).mean())

    def flops(self, counter: FlopCounter) -> float:
        """A draw's, on average."""
        rows = zip(self.tokens.tolist(), self.supervised.tolist(), self.patches.tolist(), strict=True)
        return float(np.mean([counter.sample(t, s, [n for n in images if n]) for t, s, images in rows]))


def samples_per_second(flops: float, peak: float, mfu: float) -> float:
    """Of a GPU of `peak` TFLOP/s whose share `mfu` goes to what the model needs: `flops` a sample."""
    return mfu * peak * 1e12 / flops


def hours(draws: float, flops: float, peak: float, mfu: float, gpus: int) -> float:
    """Of so many GPUs that do not wait for each other, or whose waiting is in `mfu`."""
    return draws / (samples_per_second(flops, peak, mfu) * gpus) / 3600
