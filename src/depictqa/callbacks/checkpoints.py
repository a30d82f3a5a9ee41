"""When checkpoints are written: as training goes, at its best, and where a signal ends it."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

LAST, BEST = "last.ckpt", "best.ckpt"
AGREE_EVERY = 10  # steps between which processes do not wait for each other to say whether to stop


class Checkpoints(Callback):
    """`last.ckpt` every `every` optimiser steps, before each validation and at the end; `best.ckpt` by `monitor`.

    `last.ckpt` is what training needs to go on: trained parameters, optimiser, loops and the loader's place in the
    data. It is only written between optimiser steps, where no gradient is half summed. `best.ckpt` has the parameters
    alone. On SIGTERM (`terminate` in a test) the step at hand is finished, `last.ckpt` written, and the process exits
    with 143; in the middle of a validation at once, since the last checkpoint stands right before it.
    """

    def __init__(self, folder: Path, every: int = 100, monitor: str = "val/loss", catch_sigterm: bool = True) -> None:
        self.folder = Path(folder)
        self.every = max(1, every)
        self.monitor = monitor
        self.catch_sigterm = catch_sigterm
        self.best_value: float | None = None
        self.best_step: int | None = None
        self._asked_to_stop = self._stopping = False
        self._previous_handler: Any = None

    def terminate(self, signum: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self._asked_to_stop = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.catch_sigterm and threading.current_thread() is threading.main_thread():
            # Lightning's own handler, which this replaces for the time of the training, ends without a checkpoint.
            self._previous_handler = signal.signal(signal.SIGTERM, self.terminate)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)
            self._previous_handler = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self._stopping = self._stop_agreed(trainer)
        if self._stopping or trainer.global_step % self.every == 0 or self._validation_follows(trainer, batch_idx):
            trainer.save_checkpoint(self.folder / LAST, weights_only=False)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._stopping:  # here and not above, so that the finished step reaches the loggers
            raise SystemExit(128 + signal.SIGTERM)

    def _stop_agreed(self, trainer: L.Trainer) -> bool:
        if trainer.world_size == 1:
            return self._asked_to_stop
        if trainer.global_step % AGREE_EVERY:
            return False
        return bool(trainer.strategy.reduce_boolean_decision(self._asked_to_stop, all=False))

    @staticmethod
    def _validation_follows(trainer: L.Trainer, batch_idx: int) -> bool:
        return trainer.val_check_batch is not None and (batch_idx + 1) % int(trainer.val_check_batch) == 0

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if trainer.state.fn == "fit" and trainer.world_size == 1 and self._asked_to_stop:
            raise SystemExit(128 + signal.SIGTERM)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.state.fn != "fit" or value is None:
            return
        if self.best_value is None or float(value) < self.best_value:
            self.best_value, self.best_step = float(value), trainer.global_step
            trainer.save_checkpoint(self.folder / BEST, weights_only=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(self.folder / LAST, weights_only=False)
        if self._stopping:
            raise SystemExit(128 + signal.SIGTERM)

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.best_step = state_dict["best_value"], state_dict["best_step"]
