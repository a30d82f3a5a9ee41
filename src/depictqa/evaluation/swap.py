"""Each pair in both orders: whoever prefers an image should prefer it in either place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from depictqa.evaluation.result import Seen
from depictqa.evaluation.samples import LazySamples, peek
from depictqa.sample import Sample, Slot, Truth

_SUFFIX = "/swapped"
_OTHER = {Slot.A: Slot.B, Slot.B: Slot.A}
_LETTERS = {"A": "B", "B": "A"}
_Value = TypeVar("_Value")


def swapped(sample: Sample) -> Sample:
    """The sample with A and B exchanged in its images, its truth and the answer to its last turn; the questions stay.
    The letters of an answer are exchanged where they stand after `Image`."""
    return replace(sample, images=_exchanged(sample.images), **_told(sample))


def original_key(key: str) -> str | None:
    """The key of the sample that `swapped` made this one of; None where it is none."""
    return key.removesuffix(_SUFFIX) if key.endswith(_SUFFIX) else None


class BothOrders(LazySamples):
    """Every sample of a lazy sequence, each followed by itself with A and B exchanged; still lazy."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return 2 * len(self.samples)

    def sample(self, index: int) -> Sample:
        sample = self.samples[index // 2]
        return swapped(sample) if index % 2 else sample

    def entry(self, index: int) -> Seen:
        seen: Any = peek(self.samples, index // 2)
        if index % 2 == 0:
            return seen
        if isinstance(seen, Sample):
            return swapped(seen)
        return replace(seen, slots=_exchanged(seen.slots), **_told(seen))


def _told(seen: Seen) -> dict[str, Any]:
    """Key, dialogue and truth in the other order."""
    turn = seen.dialogue[-1]
    answer = re.sub(r"\b(Image )([AB])\b", lambda found: found[1] + _LETTERS[found[2]], turn.answer)
    return {
        "key": seen.key + _SUFFIX,
        "dialogue": (*seen.dialogue[:-1], replace(turn, answer=answer)),
        "truth": _swapped_truth(seen.truth),
    }


def _swapped_truth(truth: Truth) -> Truth:
    return replace(
        truth,
        better=None if truth.better is None else _OTHER[truth.better],
        vote=None if truth.vote is None else round(1 - truth.vote, 4),
        distortions=_exchanged(truth.distortions),
        questionnaires=_exchanged(truth.questionnaires),
        mos=_exchanged(truth.mos),
        names=_exchanged(truth.names),
    )


def _exchanged(by_slot: Mapping[Slot, _Value]) -> dict[Slot, _Value]:
    """In the order of slots, as samples have it."""
    found = {_OTHER.get(slot, slot): value for slot, value in by_slot.items()}
    return {slot: found[slot] for slot in Slot if slot in found}
