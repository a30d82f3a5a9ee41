"""Puts a benchmark's samples to an answerer, batch by batch, and leaves the results on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.benchmark import Benchmark
from depictqa.evaluation.partial import PartialResults
from depictqa.evaluation.result import Result
from depictqa.evaluation.samples import Subset, peek
from depictqa.sample import Sample

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Told the benchmark and its answerer, how many are done, of how many."""


@dataclass(frozen=True)
class Runner:
    """Results go to `folder`, where there is one: `<benchmark>.jsonl` (the model under test) or
    `<benchmark>.<name>.jsonl` (any other answerer), batch by batch to a file beside it that is renamed when all are
    there. With `resume` those of an earlier run are kept, but for those with an `error`, which are asked again.

    A sample whose images cannot be opened has a result with the `error`, and the others of its batch are asked.
    """

    folder: Path | None = None
    batch_size: int = 16
    progress: Progress | None = None
    resume: bool = False

    def run(self, benchmark: Benchmark, answerer: Any) -> list[Result]:
        """Results in the order of the samples; none, and no file, where the answerer cannot be asked about any.

        ValueError where not one sample has an answer, and where what is resumed is of other samples.
        """
        samples = _asked(benchmark, answerer)
        if not len(samples):
            return []
        if hasattr(answerer, "cover"):
            answerer.cover(samples)
        partial = PartialResults(result_path(self.folder, benchmark.name, answerer.name)) if self.folder else None
        results, finished = self._kept(partial, samples) if partial and self.resume else ([], False)
        lacking = [number for number, result in enumerate(results) if result.error is not None]
        if finished and not lacking:
            return results
        told: set[str] = set()
        for first in range(0, len(lacking), self.batch_size):
            again = lacking[first : first + self.batch_size]
            for number, result in zip(again, _batch(benchmark, answerer, samples, again, told), strict=True):
                results[number] = result
        if partial:
            partial.start(results)
        for start in range(len(results), len(samples), self.batch_size):
            indices = range(start, min(start + self.batch_size, len(samples)))
            made = _batch(benchmark, answerer, samples, indices, told)
            if partial:
                partial.add(made)
            results += made
            if self.progress:
                self.progress(f"{benchmark.name} ({answerer.name})", len(results), len(samples))
        if all(result.error is not None for result in results):
            what = f"none of the {len(results)} samples of {benchmark.name} has an answer by {answerer.name}"
            raise ValueError(f"{what}: {results[0].error}")
        if partial:
            partial.finish()
        return results

    def _kept(self, partial: PartialResults, samples: Sequence[Sample]) -> tuple[list[Result], bool]:
        """Whole batches, as answers are made by batches."""
        results, finished = partial.kept()
        for number, result in enumerate(results[: len(samples)]):
            seen = peek(samples, number)
            if (result.key, result.task, result.full_reference) != (seen.key, seen.task, seen.full_reference):
                raise ValueError(
                    f"results '{partial.path}', line {number + 1} answers '{result.key}' where '{seen.key}' is asked; "
                    "the benchmark has changed: evaluate anew (without resume)"
                )
        if finished and len(results) == len(samples):
            return results, True
        if len(results) > len(samples):
            raise ValueError(
                f"results '{partial.path}' are {len(results)}, asked are {len(samples)}; evaluate anew (without resume)"
            )
        return results[: len(results) // self.batch_size * self.batch_size], False


def result_path(folder: Path, benchmark: str, answerer: str) -> Path:
    """`results/comparison.jsonl` for the model under test, `results/comparison.psnr.jsonl` for a baseline."""
    return Path(folder) / (f"{benchmark}.jsonl" if answerer == MODEL else f"{benchmark}.{answerer}.jsonl")


def _batch(
    benchmark: Benchmark, answerer: Any, samples: Sequence[Sample], indices: Iterable[int], told: set[str]
) -> list[Result]:
    """`told` is what has been said of images already: one may be in many samples."""
    opened: list[Sample] = []
    results: list[Result | None] = []
    for index in indices:
        try:
            opened.append(samples[index])
            results.append(None)
        except (ValueError, OSError) as error:
            said = " ".join(str(error).split())
            if said not in told:
                logger.warning("%s (%s): %s", benchmark.name, answerer.name, said)
                told.add(said)
            results.append(benchmark.unread(answerer, peek(samples, index), said))
    answered = iter(benchmark.ask(answerer, opened) if opened else ())
    return [next(answered) if result is None else result for result in results]


def _asked(benchmark: Benchmark, answerer: Any) -> Sequence[Sample]:
    samples = benchmark.samples
    indices = [index for index in range(len(samples)) if benchmark.fits(answerer, peek(samples, index))]
    if len(indices) == len(samples):
        return samples
    logger.info("%s: %s is asked about %d of %d samples", benchmark.name, answerer.name, len(indices), len(samples))
    return Subset(samples, indices)
