"""A benchmark is its samples and what is kept of the answers to them; how good they are is `score`'s
business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

import numpy as np

from depictqa.evaluation.answerer import Answerer, ModelAnswerer
from depictqa.evaluation.reading import read_answer
from depictqa.evaluation.result import Result, make_result
from depictqa.evaluation.score import score
from depictqa.evaluation.swap import original_key
from depictqa.sample import Sample, Slot, Task


class Benchmark(Protocol):
    """`samples` may be lazy: one is only opened when it is asked about."""

    @property
    def name(self) -> str: ...
    @property
    def samples(self) -> Sequence[Sample]: ...

    def ask(self, answerer: Any, samples: Sequence[Sample]) -> list[Result]:
        """A result for each of some of its samples."""
        ...

    def score(self, results: Sequence[Result]) -> dict[str, float]:
        """Figures from results alone."""
        ...


@dataclass(frozen=True)
class Questions:
    """Samples whose questions are put to an answerer, and whose answers are read. `subset` tells a sample's by
    its key."""

    name: str
    samples: Sequence[Sample]
    score: Callable[[Sequence[Result]], dict[str, float]] = score
    subset: Callable[[str], str] | None = None

    def ask(self, answerer: Answerer, samples: Sequence[Sample]) -> list[Result]:
        results = []
        for sample, reply in zip(samples, answerer.answer(samples), strict=True):
            parsed, reason = reply.parsed, reply.reason
            swap_of = original_key(sample.key)
            if parsed is None and reason is None:
                parsed, reason = read_answer(sample.task, reply.text, sample.images)
            results.append(
                make_result(
                    sample,
                    self.name,
                    answerer.name,
                    reply.text,
                    confidence=reply.confidence,
                    scores=dict(reply.scores),
                    parsed=parsed,
                    reason=reason,
                    subset=self.subset(swap_of or sample.key) if self.subset else None,
                    swap_of=swap_of,
                )
            )
        return results


_CUT = "max_text_tokens leaves nothing of the answer"


@dataclass(frozen=True)
class HeldOutLoss:
    """The loss of the samples' own answers."""

    samples: Sequence[Sample]
    name: str = "loss"
    score: Callable[[Sequence[Result]], dict[str, float]] = score

    def ask(self, answerer: ModelAnswerer, samples: Sequence[Sample]) -> list[Result]:
        losses = answerer.losses(samples)
        return [
            make_result(sample, self.name, answerer.name, loss=loss, reason=None if loss is not None else _CUT)
            for sample, loss in zip(samples, losses, strict=True)
        ]


class Subset(Sequence[Sample]):
    """Some samples of a lazy sequence, still lazy."""

    def __init__(self, samples: Sequence[Sample], indices: Sequence[int]) -> None:
        self.samples = samples
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Subset(self.samples, self.indices[index])
        return self.samples[self.indices[index]]

    def entry(self, index: int) -> Any:
        return peek(self.samples, self.indices[index])


def peek(samples: Sequence[Sample], index: int) -> Any:
    """What is known of a sample without decoding its images (`task`, `key`), where the sequence offers
    `entry(i)` as shards do; else the sample.
    """
    return samples.entry(index) if hasattr(samples, "entry") else samples[index]


def has_reference(samples: Sequence[Sample], index: int) -> bool:
    """Without decoding, where that can be told."""
    seen = peek(samples, index)
    return Slot.REFERENCE in (seen.images if isinstance(seen, Sample) else seen.slots)


def of_tasks(samples: Sequence[Sample], tasks: Collection[Task], limit: int | None = None) -> Subset:
    """The samples of some tasks, in order. With `limit`, at most so many with a reference and so many
    without, drawn by a fixed seed: every model gets the same ones, whatever pattern the sequence has.
    """
    chosen: list[int] = []
    wanted = [index for index in range(len(samples)) if peek(samples, index).task in tasks]
    for reference in (True, False):
        alike = [index for index in wanted if has_reference(samples, index) is reference]
        if limit is not None and len(alike) > limit:
            alike = np.random.default_rng(0).choice(alike, limit, replace=False).tolist()
        chosen += alike
    return Subset(samples, sorted(chosen))
