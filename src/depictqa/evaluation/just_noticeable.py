"""Pairs that people may take for the same: does an answerer find those hard to tell apart that people do?

That a comparison's undecidedness stands for a distance is this project's own reading, not the paper's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from depictqa.evaluation.benchmark import reply_result
from depictqa.evaluation.rated_images import LEVEL_QUESTION
from depictqa.evaluation.result import Result, Seen, make_result
from depictqa.evaluation.samples import LazySamples, peek
from depictqa.evaluation.swap import BothOrders, original_key
from depictqa.metrics.bootstrap import HIGH, LOW
from depictqa.metrics.jnd import average_precision, average_precision_interval
from depictqa.sample import Sample, Slot, Task, Turn

logger = logging.getLogger(__name__)

PREFIX, OVERALL = "jnd", "overall"


class JustNoticeable:
    """A benchmark. A chooser is asked about each pair in both orders; a score metric with a reference about B, with A
    as its reference; others are not asked, which is told once. `samples` are comparisons without a reference; `subset`
    tells a sample's by the beginning of its key."""

    def __init__(self, name: str, samples: Sequence[Sample], subset: Callable[[str], str]) -> None:
        self.name = name
        self.subset = subset
        self.samples: Sequence[Sample] = _Asked(samples)
        self._told: set[str] = set()

    def fits(self, answerer: Any, seen: Seen) -> bool:
        if hasattr(answerer, "choose"):
            return not seen.full_reference
        if hasattr(answerer, "grade") and answerer.needs_reference:
            return seen.full_reference
        if answerer.name not in self._told:
            logger.warning("%s: %s is skipped, it measures no distance of two images", self.name, answerer.name)
            self._told.add(answerer.name)
        return False

    def ask(self, answerer: Any, samples: Sequence[Sample]) -> list[Result]:
        asked = answerer.choose if hasattr(answerer, "choose") else answerer.grade
        return [
            reply_result(sample, self.name, answerer.name, reply, **self._place(sample.key))
            for sample, reply in zip(samples, asked(samples), strict=True)
        ]

    def unread(self, answerer: Any, seen: Seen, error: str) -> Result:
        return make_result(seen, self.name, answerer.name, error=error, **self._place(seen.key))

    def _place(self, key: str) -> dict[str, Any]:
        return {"subset": self.subset(key), "swap_of": original_key(key)}


def has_same_votes(results: Sequence[Result]) -> bool:
    return any("same" in result.truth for result in results)


def same_figures(results: Sequence[Result]) -> dict[str, float]:
    """Figures of one model's results, `jnd/SUBSET/...` of each subset and of all pairs (`overall`): `map`
    (`depictqa.metrics.jnd`) with its interval over pairs, `n`, and `mean_same`, the share that people took for the
    same, which a random order gives.

    The distance of a pair is minus its score, or where A stood against B, |P - 1/2| of the probability P that the first
    image is better, mean over the orders it was asked in: a liking for a place cancels out. `map_apart` is with the
    mean of each order's own |P(A) - 1/2|.
    """
    known = [result for result in results if "same" in result.truth and "a" in result.scores]
    swapped: dict[str | None, Result] = {r.swap_of: r for r in known if r.swap_of is not None}
    first = [result for result in known if result.swap_of is None]
    figures: dict[str, float] = {}
    for subset in (*sorted({result.subset for result in first if result.subset is not None}), OVERALL):
        some = [result for result in first if subset in (OVERALL, result.subset)]
        figures |= {f"{PREFIX}/{subset}/{name}": value for name, value in _figures(some, swapped).items()}
    return figures


def _figures(results: Sequence[Result], swapped: Mapping[str | None, Result]) -> dict[str, float]:
    same = [result.truth["same"] for result in results]
    if not any(same):
        return {}
    figures = {"n": float(len(same)), "mean_same": sum(same) / len(same)}
    distances = [_distances(result, swapped.get(result.key)) for result in results]
    together, apart = zip(*distances, strict=True)
    figures["map"] = average_precision(together, same)
    figures[f"map{LOW}"], figures[f"map{HIGH}"] = average_precision_interval(together, same)
    if together != apart:
        figures["map_apart"] = average_precision(apart, same)
    return figures


def _distances(result: Result, other: Result | None) -> tuple[float, float]:
    """Of the orders together, and of each apart. `other` is in the other order."""
    if "b" not in result.scores:
        return -result.scores["a"], -result.scores["a"]
    shares = [result.scores["a"]] + ([other.scores["b"]] if other is not None else [])
    return abs(sum(shares) / len(shares) - 0.5), sum(abs(share - 0.5) for share in shares) / len(shares)


_MEASURED = "/distance"


class _Asked(LazySamples):
    """Each pair in both orders, and all pairs once more for metrics: B with A as the reference."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._pairs = samples
        self._both = BothOrders(samples)

    def __len__(self) -> int:
        return len(self._both) + len(self._pairs)

    def sample(self, index: int) -> Sample:
        if index < len(self._both):
            return self._both[index]
        sample = self._pairs[index - len(self._both)]
        images = {Slot.REFERENCE: sample.images[Slot.A], Slot.A: sample.images[Slot.B]}
        return replace(sample, images=images, **_measured(sample))

    def entry(self, index: int) -> Seen:
        if index < len(self._both):
            return self._both.entry(index)
        seen: Any = peek(self._pairs, index - len(self._both))
        if isinstance(seen, Sample):
            return self[index]
        slots = {Slot.REFERENCE: seen.slots[Slot.A], Slot.A: seen.slots[Slot.B]}
        return replace(seen, slots=slots, **_measured(seen))


def _measured(seen: Seen) -> dict[str, Any]:
    return {"key": seen.key + _MEASURED, "task": Task.ASSESSMENT, "dialogue": (Turn(LEVEL_QUESTION),)}
