"""When checkpoints are written: as training goes, at its best, and where a signal ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from depictqa.callbacks import BEST, LAST, NEXT, PREVIOUS, VALIDATION_DUE
from depictqa.callbacks.reading import Reading, steps_late
from depictqa.checkpoint import remove_parts, rotate
from depictqa.signals import INTERRUPTED, REQUEUE, STOP

TWICE = 1.0  # seconds after which Ctrl-C is said again; a terminal and the agent may both pass it on


class Checkpoints(Callback):
    """`last.ckpt` every `every` optimiser steps, before each validation and at the end, with `previous.ckpt`, the one
    before it, in case it breaks; `best.ckpt` by `monitor`.

    `last.ckpt` is what training needs to go on: trained parameters, optimiser, loops and the loader's place in the
    data. It is only written between optimiser steps, where no gradient is half summed. `best.ckpt` has the parameters
    alone.

    On SIGTERM or SIGUSR1, to any of the processes, the step at hand is finished (on a GPU the next one too) and
    `last.ckpt` written, and all exit with 143; in the middle of a validation at once, since the last checkpoint stands
    right before it. So they do on Ctrl-C, with 130; said again, it ends them at once.

    A run that goes on from a checkpoint before a validation begins with that validation, whether or not the run before
    had come to its end: what follows from it (`best.ckpt`, early stopping) is in no checkpoint before the next.
    """

    def __init__(self, folder: Path, every: int = 100, monitor: str = "val/loss") -> None:
        self.folder = Path(folder)
        self.every = max(1, every)
        self.monitor = monitor
        self.best_value: float | None = None
        self.best_step: int | None = None
        self._asked: int | None = None  # the signal
        self._asked_at = 0.0
        self._speaks = True
        self._stopping = self._validation_due = False
        self._max_steps: int | None = None  # that is put back when training starts
        self._said: deque[Reading] = deque()  # of each step that was not read yet: how many processes were asked to
        self._previous_handlers: dict[int, Any] = {}

    def _ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if signum == signal.SIGINT:
            if self._asked is not None and now - self._asked_at > TWICE:
                raise KeyboardInterrupt
            if self._speaks:
                os.write(sys.stderr.fileno(), b"stopping after this step; Ctrl-C again: at once\n")
        self._asked, self._asked_at = signum, now

    def _leave(self) -> NoReturn:
        raise SystemExit(INTERRUPTED if self._asked == signal.SIGINT else REQUEUE)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._speaks = trainer.is_global_zero
        if trainer.is_global_zero:
            remove_parts(self.folder)
        if threading.current_thread() is threading.main_thread():
            # In place of Lightning's for the time of the training: on SIGTERM it ends without a checkpoint, and under
            # SLURM it saves one of its own in the middle of a step, and requeues the job itself.
            heard = [*STOP]
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is for what a script runs beside itself
                heard.append(signal.SIGINT)
            self._previous_handlers = {which: signal.signal(which, self._ask_to_stop) for which in heard}
        if self._max_steps is not None:
            trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        if self._validation_due and trainer.enable_validation:
            self._validate(trainer)

    @staticmethod
    def _validate(trainer: L.Trainer) -> None:
        """As Lightning does between two batches."""
        connector, loop = trainer._logger_connector, trainer.fit_loop.epoch_loop.val_loop
        first = connector._first_loop_iter
        trainer.validating = True
        loop.restarting = False
        loop.run()
        trainer.training = True
        connector._first_loop_iter = first

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[VALIDATION_DUE] = self._validation_due

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._validation_due = checkpoint.get(VALIDATION_DUE, False)
        if self._validation_due:  # at the last step too, where Lightning would not start
            loop = trainer.fit_loop.epoch_loop
            self._max_steps, loop.max_steps = loop.max_steps, -1

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for which, handler in self._previous_handlers.items():
            signal.signal(which, handler)
        self._previous_handlers = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self._stopping = self._stop_agreed(trainer)
        self._validation_due = self._validation_follows(trainer, batch_idx)
        if self._stopping or trainer.global_step % self.every == 0 or self._validation_due:
            self._save_last(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._stopping:  # here and not above, so that the finished step reaches the loggers
            self._leave()

    def _stop_agreed(self, trainer: L.Trainer) -> bool:
        if trainer.world_size == 1:
            return self._asked is not None
        device = trainer.strategy.root_device
        asked = torch.full((1,), float(self._asked is not None), device=device)
        self._said.append(Reading(trainer.strategy.reduce(asked, reduce_op="sum")))  # type: ignore[arg-type]
        return len(self._said) > steps_late(device) and any(self._said.popleft().numbers())

    @staticmethod
    def _validation_follows(trainer: L.Trainer, batch_idx: int) -> bool:
        return trainer.val_check_batch is not None and (batch_idx + 1) % int(trainer.val_check_batch) == 0

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if trainer.state.fn == "fit" and (self._asked is not None or self._stopping):
            self._leave()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._validation_due = False
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.state.fn != "fit" or value is None:
            return
        if self.best_value is None or float(value) < self.best_value:
            self.best_value, self.best_step = float(value), trainer.global_step
            trainer.save_checkpoint(self.folder / BEST, weights_only=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save_last(trainer)
        if self._stopping:
            self._leave()

    def _save_last(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.folder / NEXT, weights_only=False)
        if trainer.is_global_zero:
            rotate(*(self.folder / name for name in (NEXT, LAST, PREVIOUS)))

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.best_step = state_dict["best_value"], state_dict["best_step"]
