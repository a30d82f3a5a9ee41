"""Puts a benchmark's samples to an answerer, batch by batch, and leaves the results on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.benchmark import Benchmark, Subset, has_reference
from depictqa.evaluation.result import Result, write_results
from depictqa.sample import Sample

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Told the benchmark and its answerer, how many are done, of how many."""


def run(
    benchmark: Benchmark,
    answerer: Any,
    folder: Path | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[Result]:
    """Results in the order of the samples; with `folder`, also in `<benchmark>.jsonl` (the model under test)
    or `<benchmark>.<name>.jsonl` (any other answerer) there, whole or not at all.

    An answerer that needs a reference is not asked about samples without one; that is logged with their
    number.
    """
    samples = _askable(benchmark, answerer)
    results: list[Result] = []
    for start in range(0, len(samples), batch_size):
        batch = [samples[index] for index in range(start, min(start + batch_size, len(samples)))]
        results += benchmark.ask(answerer, batch)
        if progress:
            progress(f"{benchmark.name} ({answerer.name})", len(results), len(samples))
    if folder is not None:
        write_results(result_path(folder, benchmark.name, answerer.name), results)
    return results


def result_path(folder: Path, benchmark: str, answerer: str) -> Path:
    """`results/comparison.jsonl` for the model under test, `results/comparison.psnr.jsonl` for a baseline."""
    return Path(folder) / (f"{benchmark}.jsonl" if answerer == MODEL else f"{benchmark}.{answerer}.jsonl")


def _askable(benchmark: Benchmark, answerer: Any) -> Sequence[Sample]:
    samples = benchmark.samples
    if not getattr(answerer, "needs_reference", False):
        return samples
    indices = [index for index in range(len(samples)) if has_reference(samples, index)]
    if len(indices) < len(samples):
        skipped = len(samples) - len(indices)
        logger.info("%s: %s skips %d samples without a reference", benchmark.name, answerer.name, skipped)
    return Subset(samples, indices)
