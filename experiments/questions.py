"""Writes an evaluation's questions and images as files, for models that are run by their own code."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.questions import write_questions
from experiments.checks import check_evaluation
from experiments.evaluate import open_benchmarks, prepare_benchmarks


def run(cfg: DictConfig) -> dict[str, float]:
    """`program=questions evaluation=NAME out=DIR`: `out`/<benchmark>/questions.jsonl and images. Returns their
    numbers."""
    if cfg.out is None:
        raise ValueError("nowhere to write the questions; give out=DIR")
    check_evaluation(cfg)
    prepare_benchmarks(cfg)
    written: dict[str, float] = {}
    for benchmark in open_benchmarks(cfg):
        if isinstance(benchmark, Questions):
            path = write_questions(benchmark.samples, Path(cfg.out) / benchmark.name)
            print(f"{len(benchmark.samples):6} questions  {path}")
            written[benchmark.name] = float(len(benchmark.samples))
    if not written:
        raise ValueError(
            f"evaluation={cfg.evaluation.name} has no questions that are written; choose held_out or bapps (evaluation)"
        )
    return written
