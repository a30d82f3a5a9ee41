"""The optimiser and the learning rate's schedule, as plain functions of plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass
class OptimizerConfig:
    """The recipe of FACTS section 2. `warmup` and `floor` are shares: of all steps, and of `lr`.

    Weight decay is decoupled from the gradient, as in DeepSpeed's "Adam", which the released weights were
    trained with (its `adam_w_mode` is on by default).
    """

    lr: float = 2e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 1e-3
    warmup: float = 0.1
    floor: float = 0.0


def adam(parameters: Iterable[torch.nn.Parameter], config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over those `parameters` that require a gradient, fused where all of them are on a CUDA device."""
    import torch

    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise ValueError("nothing to train: every parameter is frozen (model.language.tuning, model.vision.trainable)")
    return torch.optim.AdamW(
        trained,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=all(p.device.type == "cuda" for p in trained),
    )


def warmup_then_linear(step: int, num_steps: int, warmup: float = 0.1, floor: float = 0.0) -> float:
    """Factor on the learning rate at optimiser step `step` (0-based) of `num_steps`.

    Rises linearly over the first `warmup` share, reaching 1 on the last warm-up step, then falls linearly so that
    it would be `floor` at step `num_steps`: no step is wasted at a rate of zero.
    """
    num_warmup = round(num_steps * warmup)
    if step < num_warmup:
        return (step + 1) / num_warmup
    if step >= num_steps:
        return floor
    return floor + (1.0 - floor) * (num_steps - step) / max(1, num_steps - num_warmup)


def schedule(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, num_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """`warmup_then_linear` over `num_steps` optimiser steps, which the caller takes from the data's plan.

    (`trainer.estimated_stepping_batches` would give them too, but reading it opens the loader early, and a loader
    resumed in mid-epoch then starts over.)
    """
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda step: warmup_then_linear(step, num_steps, config.warmup, config.floor))
