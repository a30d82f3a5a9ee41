"""How large batches were, for a run that ends for want of memory."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback


class BatchSizes(Callback):
    """`tokens` of the micro-batch at hand, at which `step`, and of the largest that has `fitted`."""

    def __init__(self) -> None:
        self.tokens: int | None = None
        self.fitted = self.step = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.tokens, self.step = batch.num_tokens, trainer.global_step + 1

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.fitted = max(self.fitted, batch.num_tokens)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.tokens, self.step = batch.num_tokens, trainer.global_step
