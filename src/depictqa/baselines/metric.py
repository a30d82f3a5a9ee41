"""A score metric as an answerer: the image that it rates higher is the better one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from depictqa.baselines.weights import Weights, fetch
from depictqa.evaluation.answerer import Reply
from depictqa.metrics.accuracy import TIE
from depictqa.sample import Sample, Slot, Task

Measure = Callable[..., Tensor]
"""[N, 3, H, W] in 0..1, and their references of the same shape where the metric needs them -> [N]."""

Pixels = tuple[np.ndarray, np.ndarray | None]
"""[H, W, 3] uint8 of an image, and of its reference."""


@dataclass
class ScoreMetric:
    """Rates images at their own size (no resizing, no crop), many of one size at a time.

    `load` gives the measure at its first use, once all `weights` are there. `batch_size` images go through it at
    once, which bounds memory. `accelerator` is the trainer's word: a GPU where there is one, unless it is "cpu".

    Tie rule: exactly equal values are a tie, which the accuracy counts half, as 2AFC does; equal images have
    equal values, whatever batch they are in. Images of another size than the reference, or smaller than `min_side`,
    have no value: the reply says so and counts as not parsed.
    """

    name: str
    load: Callable[[], Measure]
    needs_reference: bool = True
    lower_is_better: bool = False
    min_side: int = 1
    weights: tuple[Weights, ...] = ()
    batch_size: int = 16
    accelerator: str = "auto"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.COMPARISON, Task.RATING})

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        """`scores` are larger for the better image: a distance's are its values with the sign turned."""
        asked = [(n, slot) for n, sample in enumerate(samples) for slot in (Slot.A, Slot.B) if slot in sample.images]
        references = [samples[n].images[Slot.REFERENCE] for n, _ in asked] if self.needs_reference else None
        ratings = self.rate([samples[n].images[slot] for n, slot in asked], references)
        found: list[dict[Slot, float | str]] = [{} for _ in samples]
        for (n, slot), rating in zip(asked, ratings, strict=True):
            found[n][slot] = rating
        return [self._reply(values) for values in found]

    def grade(self, samples: Sequence[Sample]) -> list[Reply]:
        """Image A's score alone, larger is better."""
        references = [sample.images[Slot.REFERENCE] for sample in samples] if self.needs_reference else None
        ratings = self.rate([sample.images[Slot.A] for sample in samples], references)
        sign = -1 if self.lower_is_better else 1
        return [
            Reply("", reason=rating)
            if isinstance(rating, str)
            else Reply("", scores={"a": sign * rating}, parsed={"score": sign * rating})
            for rating in ratings
        ]

    def rate(self, images: Sequence[Image.Image], references: Sequence[Image.Image] | None = None) -> list[float | str]:
        """The library's own value of each image (see `lower_is_better`), or why it has none. An image that comes
        several times is rated once.
        """
        beside = references if references is not None else [None] * len(images)
        pairs = [
            (_pixels(image), _pixels(other) if other is not None else None)
            for image, other in zip(images, beside, strict=True)
        ]
        keys = [tuple((array.shape, array.tobytes()) for array in pair if array is not None) for pair in pairs]
        distinct = dict(zip(keys, pairs, strict=True))
        ratings: dict[tuple, float | str] = {}
        by_size: dict[tuple[int, ...], list[tuple]] = {}
        for key, pair in distinct.items():
            if reason := self._unfit(*pair):
                ratings[key] = reason
            else:
                by_size.setdefault(pair[0].shape, []).append(key)
        for alike in by_size.values():
            for start in range(0, len(alike), self.batch_size):
                some = alike[start : start + self.batch_size]
                ratings |= zip(some, self._values([distinct[key] for key in some]), strict=True)
        return [ratings[key] for key in keys]

    @cached_property
    def device(self) -> torch.device:
        return torch.device("cuda" if self.accelerator != "cpu" and torch.cuda.is_available() else "cpu")

    @cached_property
    def measure(self) -> Measure:
        fetch(self.weights)
        measure = self.load()
        return measure.to(self.device).eval() if isinstance(measure, torch.nn.Module) else measure

    def _values(self, pairs: Sequence[Pixels]) -> list[float | str]:
        batch = [self._tensor([pair[0] for pair in pairs])]
        if self.needs_reference:
            batch.append(self._tensor([pair[1] for pair in pairs if pair[1] is not None]))
        with torch.inference_mode():
            values = self.measure(*batch).reshape(-1).tolist()
        assert len(values) == len(pairs), (self.name, len(values), len(pairs))
        return [value if math.isfinite(value) else f"{self.name} gives no finite value" for value in values]

    def _tensor(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """[N, 3, H, W] float32 in 0..1."""
        pixels = torch.from_numpy(np.stack(arrays)).to(self.device)
        return (pixels.permute(0, 3, 1, 2).float() / 255).contiguous()

    def _unfit(self, image: np.ndarray, reference: np.ndarray | None) -> str | None:
        size = f"{image.shape[1]}x{image.shape[0]}"
        if reference is not None and reference.shape != image.shape:
            other = f"{reference.shape[1]}x{reference.shape[0]}"
            return f"{self.name} needs images of one size, got {size} beside a reference of {other}"
        if min(image.shape[:2]) < self.min_side:
            return f"{self.name} needs {self.min_side} pixels a side, got {size}"
        return None

    def _reply(self, values: dict[Slot, float | str]) -> Reply:
        reasons = [f"image {slot}: {value}" for slot, value in values.items() if isinstance(value, str)]
        if reasons:
            return Reply("", reason="; ".join(reasons))
        sign = -1 if self.lower_is_better else 1
        scores = {str(slot): sign * value for slot, value in values.items() if not isinstance(value, str)}
        if len(scores) < 2:
            return Reply("", scores=scores, reason=f"{self.name} rates one image and compares none")
        if scores["a"] == scores["b"]:
            return Reply("Both images are alike.", scores=scores, parsed={"better": TIE})
        better = "a" if scores["a"] > scores["b"] else "b"
        return Reply(f"Image {better.upper()}", scores=scores, parsed={"better": better})


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))
