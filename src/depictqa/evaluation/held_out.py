"""The standing evaluation: comparison, description, reasoning and loss on samples never trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from depictqa.evaluation.answerer import Answerer, ModelAnswerer
from depictqa.evaluation.benchmark import HeldOutLoss, Questions, of_tasks
from depictqa.evaluation.result import Result, read_results
from depictqa.evaluation.runner import Progress, run
from depictqa.evaluation.score import Scores, score_all
from depictqa.sample import Sample, Task
from depictqa.whole_file import write_whole

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA
    from depictqa.sentence_embedding import Embedder

TASKS = (Task.COMPARISON, Task.DESCRIPTION, Task.REASONING)
RESULTS, METRICS = "results", "metrics.json"


def evaluate_held_out(
    model: DepictQA,
    samples: Sequence[Sample],
    folder: Path,
    *,
    max_new_tokens: int = 400,
    batch_size: int = 16,
    limit: int | None = None,
    baselines: Sequence[Answerer] = (),
    embed: Embedder | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Scores of the model, and of `baselines` on the same pairs, from the results left in `folder/results/`.

    `samples` may be lazy. A task without samples has no benchmark; `limit` bounds each benchmark's samples
    with a reference, and those without. The loss takes every task's samples, content among them. `embed`
    gives long answers their confidence.
    """
    results: list[Result] = []
    answerer = ModelAnswerer(model, max_new_tokens, batch_size, embed=embed)

    def add(benchmark: Questions | HeldOutLoss, who: object) -> None:
        results.extend(run(benchmark, who, folder / RESULTS, batch_size, progress))

    for task in TASKS:
        benchmark = Questions(str(task), of_tasks(samples, {task}, limit))
        if len(benchmark.samples):
            add(benchmark, answerer)
            for baseline in baselines if task is Task.COMPARISON else ():
                add(benchmark, baseline)
    held_out = HeldOutLoss(of_tasks(samples, set(Task), limit))
    if not len(held_out.samples):
        raise ValueError("no held-out samples to evaluate on; build the test split (data.root, evaluation.split)")
    add(held_out, answerer)
    return score_all(results)


def score_folder(folder: Path) -> Scores:
    """The scores of a finished run again, from its `results/*.jsonl` alone."""
    files = sorted((Path(folder) / RESULTS).glob("*.jsonl"))
    if not files:
        raise FileNotFoundError(f"'{folder}' has no {RESULTS}/*.jsonl; run program=evaluate first")
    return score_all(result for file in files for result in read_results(file))


def write_metrics(path: Path, metrics: dict[str, float]) -> None:
    """Flat JSON, name -> number; whole or not at all."""
    write_whole(path, json.dumps(metrics, indent=2, allow_nan=False) + "\n")
