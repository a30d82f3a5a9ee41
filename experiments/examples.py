"""Answers that the model gives while it trains, beside the truth: on the console, as JSON lines, and as a W&B table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from rich.console import Console

from depictqa.generation import Answer
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Sample, Slot
from depictqa.strategies.whole import same_tokens


class GeneratedExamples(Callback):
    """Greedy answers to the same `samples` after each validation. Each time they are added to the file at `path`."""

    def __init__(self, samples: Sequence[Sample], path: Path, max_new_tokens: int = 120, num_printed: int = 1) -> None:
        self.samples = list(samples)
        self.path = Path(path)
        self.max_new_tokens = max_new_tokens
        self.num_printed = num_printed
        self.console = Console(soft_wrap=True, highlight=False)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        strategy: Any = trainer.strategy
        together = getattr(strategy, "splits_parameters", False)  # then all processes answer, or none can
        if trainer.state.fn != "fit" or not self.samples or not (trainer.is_global_zero or together):
            return
        model = cast(DepictQA, pl_module.model)
        with trainer.precision_plugin.forward_context():
            if together:
                with strategy.gathered():
                    answers = model.answer(self.samples, self.max_new_tokens, agree=same_tokens)
            else:
                answers = model.answer(self.samples, self.max_new_tokens)
        if trainer.is_global_zero:
            self._show(trainer, answers)

    def _show(self, trainer: L.Trainer, answers: Sequence[Answer]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            for sample, answer in zip(self.samples, answers, strict=True):
                file.write(json.dumps({"step": trainer.global_step, **_row(sample, answer)}, ensure_ascii=False) + "\n")
        for sample, answer in zip(self.samples[: self.num_printed], answers, strict=False):
            row = _row(sample, answer)
            self.console.print(f"  Q: {row['question']}\n  A: {row['answer']}\n  truth: {row['truth']}", markup=False)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_table(
                    "examples", columns=_COLUMNS, data=_table(self.samples, answers), step=trainer.global_step
                )


_COLUMNS = ["key", "task", *(slot.value for slot in Slot), "question", "answer", "truth"]


def _row(sample: Sample, answer: Answer) -> dict[str, Any]:
    turn = sample.dialogue[-1]
    return {
        "key": sample.key,
        "task": str(sample.task),
        "question": turn.question,
        "answer": answer.text,
        "truth": turn.answer,
    }


def _table(samples: Sequence[Sample], answers: Sequence[Answer]) -> list[list[Any]]:
    import wandb

    rows = []
    for sample, answer in zip(samples, answers, strict=True):
        row = _row(sample, answer)
        images = [wandb.Image(sample.images[slot]) if slot in sample.images else None for slot in Slot]
        rows.append([row["key"], row["task"], *images, row["question"], row["answer"], row["truth"]])
    return rows


def spread(samples: Sequence[Sample], number: int) -> list[Sample]:
    """`number` of `samples` at equal distances, so that each source and task has its turn."""
    number = min(number, len(samples))
    return [samples[index * len(samples) // number] for index in range(number)]
