"""The model under Lightning: one training step, one validation step, the optimiser. Nothing else lives here."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import lightning as L
import numpy as np
import torch

from depictqa.batch import Batch
from depictqa.loop_progress import MICRO_BATCHES, recount
from depictqa.loss import batch_loss, sample_losses
from depictqa.models.depictqa import DepictQA
from depictqa.optim import OptimizerConfig, adam, schedule


class DepictQAModule(L.LightningModule):
    """Trains `model` for `num_steps` optimiser steps (they come from the data's plan).

    Its state dict holds what is trained and nothing of the frozen bases. Randomness inside a step (dropout) is a
    function of (`seed`, epoch, micro-batch, rank) alone, so a resumed run repeats it and validation cannot disturb it.
    `step_loss` is the last step's, over this process's samples.
    """

    def __init__(self, model: DepictQA, optimizer: OptimizerConfig, num_steps: int, seed: int = 131) -> None:
        super().__init__()
        self.model = model
        self.optimizer_config = optimizer
        self.num_steps = num_steps
        self.seed = seed
        self.step_loss: torch.Tensor | float = float("nan")
        self._sum: torch.Tensor | float = 0.0
        self._validation: dict[str, list[float]] = {}

    def configure_model(self) -> None:
        """Before the optimiser is made: weights get their dtype, and a strategy that splits the model does so."""
        self.model.language.cast(self.trainer.strategy.root_device)
        shard = getattr(self.trainer.strategy, "shard", None)
        if shard is not None:
            shard(self.model)

    def cpu(self) -> DepictQAModule:
        """Stays where it is. Lightning would take it to the CPU when training ends: a copy of the frozen weights in RAM
        for each process of a node, and back again to be evaluated."""
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        entropy = [self.seed, self.current_epoch, batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Scalar: the batch's share of the loss. The mean over a step's batches and ranks is its samples' mean."""
        loss = batch_loss(self.model(batch))
        self._log_step(loss.detach(), batch_idx)
        return loss

    def _log_step(self, loss: torch.Tensor, batch_idx: int) -> None:
        """Adds up a step's batches and logs their mean, and the rate, with the last of them."""
        trainer: Any = self.trainer
        accumulate = trainer.accumulate_grad_batches
        self._sum = self._sum + loss
        if (batch_idx + 1) % accumulate == 0:
            self.step_loss, self._sum = self._sum / accumulate, 0.0
            if self.global_step + 1 == self.num_steps:
                trainer.log_every_n_steps = 1  # the last one is always written
            if self._is_reported(self.global_step + 1):
                self.log("train/loss", self.step_loss, sync_dist=True)
                rate = trainer.optimizers[0].param_groups[0]["lr"]
                self.log("train/lr", torch.tensor(rate), rank_zero_only=True)  # a number would go to the device

    def _is_reported(self, step: int) -> bool:
        """Several processes wait for each other where they log: they do so only where it is written."""
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        return trainer.world_size == 1 or (every > 0 and step % every == 0)

    def on_train_epoch_end(self) -> None:
        skipped = getattr(self.trainer.train_dataloader, "skipped", None)  # this process's; it warns of each
        if skipped is not None:
            self.log("data/skipped", float(skipped), sync_dist=True, reduce_fx="sum")

    def on_validation_epoch_start(self) -> None:
        self._validation = defaultdict(lambda: [0.0, 0.0])
        if getattr(self.trainer.strategy, "splits_parameters", False):
            self._check_shares()

    def _check_shares(self) -> None:
        """ValueError in place of processes that wait for each other in vain."""
        shares = [0] * self.trainer.world_size
        own: Any = sum(self.trainer.num_val_batches)
        torch.distributed.all_gather_object(shares, own)
        if len(set(shares)) > 1:
            raise ValueError(
                f"held-out batches by process are {shares}, but parameters that are split over processes need equally "
                "many; hold out more samples, or train with trainer=ddp or ZeRO stage 1 or 2"
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds up sample losses by source: the part of a key before its first slash."""
        prediction = self.model(batch)
        answered = set(prediction.samples.tolist())  # the others were cut before their answer
        for number, (key, loss) in enumerate(zip(batch.keys, sample_losses(prediction).tolist(), strict=True)):
            if number in answered:
                total = self._validation[key.split("/", 1)[0]]
                total[0] += loss
                total[1] += 1

    def on_validation_epoch_end(self) -> None:
        """Logs `val/loss`, the mean over samples, and `val/<source>/loss` for each source."""
        for name, value in self._gathered_means().items():
            self.log(name, value, rank_zero_only=False)

    def _gathered_means(self) -> dict[str, float]:
        parts: list[dict[str, list[float]]] = [dict(self._validation)]
        if self.trainer.world_size > 1:
            parts = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(parts, dict(self._validation))
        totals: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        for part in parts:
            for source, total in part.items():
                totals[source] += total
        means = {f"val/{source}/loss": float(total[0] / total[1]) for source, total in sorted(totals.items())}
        if totals:
            loss, count = sum(totals.values())  # type: ignore[misc]
            means["val/loss"] = float(loss / count)
        return means

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        optimizer = adam(self.model.parameters(), self.optimizer_config)
        scheduler = schedule(optimizer, self.optimizer_config, self.num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[MICRO_BATCHES] = self.trainer.accumulate_grad_batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning counts micro-batches; other ranks or another token budget make more or fewer of a step."""
        saved = checkpoint.get(MICRO_BATCHES, self.trainer.accumulate_grad_batches)
        recount(checkpoint["loops"]["fit_loop"], saved, self.trainer.accumulate_grad_batches)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {name: value.detach() for name, value in self.model.trained_state_dict().items()}

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        self.model.load_trained_state_dict(state_dict, source="the checkpoint")
