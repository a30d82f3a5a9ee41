"""What happens around the training steps: checkpoints (a SIGTERM's among them) and a line of progress."""

from __future__ import annotations

import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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


class ProgressLine(Callback):
    """Loss, tokens a second and the time left: a bar on a terminal, elsewhere a line every `seconds`.

    The loss is read from the device only when it is shown. Tokens count padding: what the device computes on.
    """

    def __init__(self, num_steps: int, seconds: float = 10.0, console: Console | None = None) -> None:
        self.num_steps = num_steps
        self.seconds = seconds
        self.console = console or Console()
        self._bar: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._first_step = trainer.global_step
        self._start = self._shown = time.perf_counter()
        self._tokens = self._tokens_shown = 0
        if self.console.is_terminal and trainer.is_global_zero:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self.console)
            self._task = self._bar.add_task("", total=self.num_steps, completed=trainer.global_step)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._tokens += batch.num_tokens * trainer.world_size
        now = time.perf_counter()
        done = trainer.global_step >= self.num_steps
        if not done and now - self._shown < (0.5 if self._bar else self.seconds):
            return
        rate = (self._tokens - self._tokens_shown) / max(1e-9, now - self._shown)
        self._shown, self._tokens_shown = now, self._tokens
        pl_module.log("train/tokens_per_second", rate, rank_zero_only=True)
        if not trainer.is_global_zero or trainer.global_step == self._first_step:
            return
        loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
        text = f"loss {loss:.4f}  {rate:,.0f} tokens/s"
        if self._bar:
            self._bar.update(self._task, completed=trainer.global_step, description=text)
        else:
            per_step = (now - self._start) / (trainer.global_step - self._first_step)
            left = timedelta(seconds=round(per_step * (self.num_steps - trainer.global_step)))
            self.console.print(f"step {trainer.global_step}/{self.num_steps}  {text}  {left} left", highlight=False)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        text = "  ".join(f"{name} {value:.4f}" for name, value in sorted(values.items()))
        self.console.print(f"step {trainer.global_step}/{self.num_steps}  {text}", highlight=False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_bar()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop_bar()

    def _stop_bar(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
