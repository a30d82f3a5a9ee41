"""Is a run well? Steps that are no numbers change nothing; they and spikes of the loss are written down, by sample."""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from depictqa.callbacks.reading import Reading, steps_late

log = logging.getLogger(__name__)

FIRST, WARM = 10, 50  # losses that the mean begins with; steps before one is called a spike
MEMORY = 200  # steps that the mean and deviation of losses look back on


class Health(Callback):
    """A step with a loss or a gradient that is not finite, on any process, is not made: no parameter and no moment of
    the optimiser changes. It is a line of `path`, with the keys of its samples; after more than `max_bad_steps` of them
    the run ends with ValueError, without a checkpoint from after the last one.

    Nobody waits for a GPU: a fused optimiser is told there, by the flag that gradient scalers use (`found_inf`), and
    the host reads it one step later. Any other optimiser gets no gradients instead, for which the host looks at once.
    DeepSpeed makes its steps itself: there a run can only end.

    A loss `spike` deviations above its running mean (None: none is) is a line as well. Stands before the callback that
    saves checkpoints.
    """

    def __init__(self, path: Path, max_bad_steps: int = 0, spike: float | None = 6.0) -> None:
        if max_bad_steps < 0:
            raise ValueError(f"trainer.max_bad_steps is {max_bad_steps}; give 0 or more")
        if spike is not None and spike <= 0:
            raise ValueError(f"trainer.spike is {spike}; give a number of deviations over 0, or null")
        self.path, self.max_bad_steps, self.spike = Path(path), max_bad_steps, spike
        self.bad_steps = 0
        self.losses = RunningLoss()
        self._batches: list[_MicroBatch] = []
        self._report: torch.Tensor | None = None
        self._unread: deque[_Step] = deque()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.max_bad_steps and trainer.strategy.handles_gradient_accumulation:
            raise ValueError("trainer.max_bad_steps needs a strategy that leaves steps to the trainer; set it to 0")
        self._trainer: Any = trainer

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batches.append(_MicroBatch(batch_idx, batch.keys))

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        self._batches[-1].loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if trainer.strategy.handles_gradient_accumulation:
            return
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None  # it expects gradients to overflow
        self._report = self._summed(None if scaled else _gradient_norm(optimizer))
        if scaled:
            return
        bad = self._report[1] > 0
        if _decides_on_the_device(optimizer):
            optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
        elif bad:
            optimizer.zero_grad(set_to_none=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        report = self._summed(None) if self._report is None else self._report
        self._unread.append(_Step(trainer.global_step, self._batches, Reading(report)))
        self._batches, self._report = [], None
        self._read(steps_late(report.device))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._read()

    def state_dict(self) -> dict[str, Any]:
        """Lightning asks for it before it writes a checkpoint: none is written where this raises."""
        self._read()
        return {"bad_steps": self.bad_steps, **vars(self.losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        self.bad_steps = state.pop("bad_steps")
        self.losses = RunningLoss(**state)

    def _summed(self, norm: torch.Tensor | None) -> torch.Tensor:
        """[2] over all processes: their losses' sum, and how many of them have something that is not finite."""
        losses = torch.stack([batch.loss for batch in self._batches]).float()
        finite = losses.isfinite().all()
        if norm is not None:
            finite = finite & norm.isfinite()
        report = torch.stack([losses.sum(), (~finite).float()])
        return self._trainer.strategy.reduce(report, reduce_op="sum") if self._trainer.world_size > 1 else report

    def _read(self, but: int = 0) -> None:
        """What steps came to, all but the last `but` of them; at the same step in all processes."""
        while len(self._unread) > but:
            step = self._unread.popleft()
            total, bad = step.report.numbers()
            loss = total / self._trainer.world_size
            if bad:
                self._count(step, loss)
            else:
                usual = (self.losses.mean, self.losses.deviation)
                if self.spike is not None and self.losses.add(loss, self.spike):
                    self._write("spike", step, loss, *usual)

    def _count(self, step: _Step, loss: float) -> None:
        self.bad_steps += 1
        self._write("not finite", step, loss)
        what = "a gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        what = f"step {step.number}: {what}; its samples are named in {self.path}"
        if self.bad_steps > self.max_bad_steps:
            raise ValueError(
                f"{what}; no checkpoint is from after it. Mend the data, lower trainer.optimizer.lr, or skip up to N "
                "such steps (trainer.max_bad_steps=N)"
            )
        if self._trainer.is_global_zero:
            log.warning("skipped, %s (%d of trainer.max_bad_steps=%d)", what, self.bad_steps, self.max_bad_steps)

    def _write(self, kind: str, step: _Step, loss: float, mean: float | None = None, deviation: float = 0.0) -> None:
        trainer = self._trainer
        mine = [batch.told(trainer.global_rank, trainer.accumulate_grad_batches) for batch in step.batches]
        parts: list[list[dict[str, Any]]] = [mine]
        if trainer.world_size > 1:
            parts = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(parts, mine)
        if not trainer.is_global_zero:
            return
        line: dict[str, Any] = {"kind": kind, "step": step.number, "loss": _plain(loss)}
        if mean is not None:
            line |= {"mean": mean, "deviation": deviation}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({**line, "batches": [batch for part in parts for batch in part]}) + "\n")


@dataclass
class RunningLoss:
    """Mean and variance of a run's losses, the last `MEMORY` or so of them."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @property
    def deviation(self) -> float:
        return math.sqrt(self.variance)

    def add(self, loss: float, spike: float) -> bool:
        """Whether `loss` is `spike` deviations above the mean. Then it counts as no more than that, so that the next
        spike is seen as well, and a level that stays high is none for long."""
        bound = self.mean + spike * self.deviation
        spikes = self.count >= WARM and loss > bound
        if self.count >= FIRST:
            loss = min(loss, bound)
        self.count += 1
        weight = max(1 / self.count, 1 / MEMORY)
        apart = loss - self.mean
        self.mean += weight * apart
        self.variance = (1 - weight) * (self.variance + weight * apart**2)
        return spikes


@dataclass
class _MicroBatch:
    number: int
    keys: list[str]
    loss: torch.Tensor = torch.tensor(float("nan"))  # its share of the step's

    def told(self, rank: int, accumulate: int) -> dict[str, Any]:
        return {"rank": rank, "batch": self.number, "loss": _plain(self.loss.item() * accumulate), "keys": self.keys}


@dataclass
class _Step:
    number: int  # steps made until then, with it
    batches: list[_MicroBatch]
    report: Reading


def _decides_on_the_device(optimizer: torch.optim.Optimizer) -> bool:
    """As gradient scalers ask it; the flag is no sharded tensor, as parameters are with FSDP2."""
    sharded = any(hasattr(p, "full_tensor") for group in optimizer.param_groups for p in group["params"][:1])
    return getattr(optimizer, "_step_supports_amp_scaling", False) and not sharded


def _gradient_norm(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """Of this process's gradients; where it holds shards, of its own, and all flags together tell of the whole."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _plain(number: float) -> float | str:
    """JSON has no NaN."""
    return number if math.isfinite(number) else str(number)
