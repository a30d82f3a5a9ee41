"""How training runs, and what a plan of it supposes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from depictqa.optim import OptimizerConfig


@dataclass
class EarlyStoppingConfig:
    """Stop after `patience` validations in a row without a gain of `min_delta` in `monitor`; null: never."""

    patience: int | None = None
    min_delta: float = 0.0
    monitor: str = "val/loss"


@dataclass
class Float8Config:
    """The language model's frozen weights in float8 while it trains (`depictqa.models.float8`), if `enabled`. What is
    saved knows nothing of it. Before training, the loss and the gradients of `samples` training samples are computed
    without and with it; a run where the loss changes by a larger share than `max_loss_change`, or gradients have a
    cosine below `min_cosine`, is refused."""

    enabled: bool = False
    samples: int = 16
    max_loss_change: float = 0.01
    min_cosine: float = 0.95


@dataclass
class TrainerConfig:
    """How training runs: on `devices` of each of `num_nodes`. `strategy`: one of Lightning's by name, or a `_target_`
    with its arguments. `precision` auto is bf16-mixed on a GPU that has it, else 32-true.

    `checkpoint_every` and `log_every` are in optimiser steps, `progress_every` in seconds. `num_examples` answers are
    generated at each validation. `keep`: which parameters become `model/`, "last" or "best" (by validation loss).
    `compile`: each decoder layer and block of the vision tower by torch.compile, for packed batches (`data.packing`).
    `recompute`: every n-th decoder layer's activations are computed again in the backward pass to save memory; null:
    none. `max_bad_steps`: steps whose loss or gradient is not finite that are skipped before a run stops. `spike`: a
    loss that many deviations above its running mean is written down; null: none.
    """

    accelerator: str = "auto"
    devices: Any = 1
    num_nodes: int = 1
    strategy: Any = "auto"
    precision: str = "auto"
    threads: int | None = None
    compile: bool = False
    recompute: int | None = None
    float8: Float8Config = field(default_factory=Float8Config)
    max_epochs: int = 1
    max_steps: int = -1
    gradient_clip: float = 1.0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validations_per_epoch: int = 4
    checkpoint_every: int = 200
    log_every: int = 10
    progress_every: float = 10.0
    num_examples: int = 4
    example_tokens: int = 120
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    keep: str = "last"
    max_bad_steps: int = 0
    spike: float | None = 6.0


@dataclass
class PlanConfig:
    """What a plan supposes. `vision` and `language` name the architectures whose sizes count where the model's files
    are not here. `mfu`: the share of a GPU's peak rate that goes to what the model needs. `gpus`: how many. `price`: of
    a GPU and hour, by kind, such as {h100: 2.5}; there is none by default. `reserve_gb` of each GPU are not planned."""

    vision: str = "ViT-L-14"
    language: str = "llama-7b"
    mfu: float = 0.45
    gpus: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    price: Any = None  # a mapping; typed as one, a command line could not fill it
    reserve_gb: float = 2.0
