"""Checkpoints of sharded training: one file of what was trained, whole, as a single device would write it.

Any strategy opens what another wrote, on any number of processes: the file holds full parameters by name and AdamW's
state by their order, and each strategy gathers it and shares it out again itself. It is small, since frozen bases are
not in it, and goes through the trainer's CheckpointIO, so that it is whole or not there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import Strategy
from torch import nn

MOMENTS = ("exp_avg", "exp_avg_sq")


class WholeCheckpoints(Strategy):
    """What a strategy that shards parameters puts in the place of Lightning's own folders of shards.

    All processes must call these methods together; process 0 writes.
    """

    rebuilds = True
    """After training the model in memory is in shards, or cast: to use it, open what was saved."""

    splits_parameters: bool
    """Whether the model can only be called by all processes together, equally often."""

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        return True

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options=storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        if Path(checkpoint_path).is_dir():
            raise ValueError(
                f"checkpoint '{checkpoint_path}' is a folder of shards; give a file that this program wrote"
            )
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters as this strategy holds them, in the optimiser's order."""
        module: Any = self.lightning_module
        return module.model.trained_state_dict()

    @abstractmethod
    def lightning_module_state_dict(self) -> dict[str, torch.Tensor]: ...

    @abstractmethod
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None: ...

    @abstractmethod
    def gathered(self) -> AbstractContextManager[None]:
        """While open, the model can be called in other ways than by its forward pass: to generate, say."""


def same_tokens(tokens: torch.Tensor) -> torch.Tensor:
    """Process 0's token ids: processes that generate together must stop together, whatever rounding has them choose."""
    torch.distributed.broadcast(tokens, 0)
    return tokens
