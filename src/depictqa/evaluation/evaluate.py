"""Benchmarks by answerers: results on disk, and their scores; the same scores again from the files alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from depictqa.evaluation.answerer import Answerer
from depictqa.evaluation.benchmark import Benchmark
from depictqa.evaluation.result import Result, read_results
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import Scores, score_all
from depictqa.whole_file import write_whole

RESULTS, METRICS = "results", "metrics.json"


def evaluate(benchmarks: Sequence[Benchmark], answerers: Sequence[Answerer], runner: Runner) -> Scores:
    """Every answerer is asked what it can be asked of every benchmark. ValueError where that is nothing at all."""
    if not answerers:
        raise ValueError("there is nobody to ask; choose others (baseline, model_under_test)")
    results: list[Result] = []
    for benchmark in benchmarks:
        for answerer in answerers:
            results += runner.run(benchmark, answerer)
    if not results:
        names = ", ".join(answerer.name for answerer in answerers)
        asked = ", ".join(benchmark.name for benchmark in benchmarks)
        why = "score metrics compare, most of them beside a reference, and not everyone can do all"
        raise ValueError(f"nothing to ask {names} of {asked}: {why}; choose others (baseline, model_under_test)")
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
