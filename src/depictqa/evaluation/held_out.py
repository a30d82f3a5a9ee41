"""The standing evaluation: every task and the loss on samples never trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from depictqa.evaluation.benchmark import Benchmark, HeldOutLoss, Questions
from depictqa.evaluation.samples import of_tasks
from depictqa.sample import Sample, Task


def held_out_benchmarks(
    samples: Sequence[Sample], limit: int | None = None, tasks: Collection[Task] = tuple(Task)
) -> list[Benchmark]:
    """One for each of `tasks` that has samples, named after it, and the loss of every task's own answers.

    `samples` may be lazy; `limit` bounds each benchmark's samples with a reference, and those without.
    """
    if not len(samples):
        raise ValueError("no held-out samples to evaluate on; build the test split (data.root, evaluation.split)")
    benchmarks: list[Benchmark] = []
    for task in tasks:
        chosen = of_tasks(samples, {task}, limit)
        if len(chosen):
            benchmarks.append(Questions(str(task), chosen))
    return [*benchmarks, HeldOutLoss(of_tasks(samples, set(Task), limit))]
