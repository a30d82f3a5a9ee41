"""Samples that are opened when they are asked for, and what is known of them before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import overload

import numpy as np

from depictqa.evaluation.result import Seen
from depictqa.sample import Sample, Task


class LazySamples(Sequence[Sample]):
    """A sequence of samples made one by one."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Sample `index`, which is at least 0 and below the length, with its images open."""

    @abstractmethod
    def entry(self, index: int) -> Seen:
        """What is known of it before its images are opened."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self.sample(number) for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.sample(index)


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

    def entry(self, index: int) -> Seen:
        return peek(self.samples, self.indices[index])


def peek(samples: Sequence[Sample], index: int) -> Seen:
    """What is known of a sample without decoding its images, where the sequence offers `entry(i)` as shards do; else
    the sample.
    """
    return samples.entry(index) if hasattr(samples, "entry") else samples[index]


def has_reference(samples: Sequence[Sample], index: int) -> bool:
    """Without decoding, where that can be told."""
    return peek(samples, index).full_reference


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
