"""A line of progress while a model trains: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressLine(Callback):
    """Loss, tokens a second and the time left: a bar on a terminal, elsewhere a line every `seconds`.

    The loss is that of the first process's samples, and read from the device only when it is shown. Tokens
    count padding: what the device computes on.
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

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
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
        text = f"loss {float(pl_module.step_loss):.4f}  {rate:,.0f} tokens/s"
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
