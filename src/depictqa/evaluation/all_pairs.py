"""All pairs of each reference's images put to the vote: scores of images from choices between two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from depictqa.evaluation.answerer import Reply
from depictqa.evaluation.benchmark import reply_result
from depictqa.evaluation.rated_images import LEVEL_QUESTION, RatedGroup, pairs
from depictqa.evaluation.result import Result, Seen, make_result
from depictqa.evaluation.swap import BothOrders, original_key
from depictqa.metrics.accuracy import TIE
from depictqa.sample import Sample, Slot, Task, Turn

Replies = Mapping[tuple[int, int], Reply]
"""By the numbers of A and B in their group."""


class AllPairs:
    """A benchmark. An answerer that can `choose_all` gets a reference's images at once, so that what pairs share is run
    once; one that can `grade` rates each image once, and the higher is chosen; any other is asked in words, pair by
    pair. `swap`: each pair also with A and B exchanged.

    The images of a group stand as A or B by their order there: let it have nothing to do with their quality.
    """

    def __init__(
        self, name: str, groups: Sequence[RatedGroup], references: Sequence[bool] = (True, False), swap: bool = False
    ) -> None:
        self.name = name
        self.swap = swap
        self._pairs = pairs(groups, references)
        self.samples: Sequence[Sample] = BothOrders(self._pairs) if swap else self._pairs
        self._groups = {group.reference: group for group in groups}
        self._kept: tuple[Any, dict[tuple[str, str], Reply]] | None = None

    def fits(self, answerer: Any, seen: Seen) -> bool:
        can = hasattr(answerer, "choose_all") or hasattr(answerer, "grade") or _compares(answerer)
        return can and (seen.full_reference or not answerer.needs_reference)

    def ask(self, answerer: Any, samples: Sequence[Sample]) -> list[Result]:
        if hasattr(answerer, "choose_all"):
            replies = [self._of_group(answerer, sample, self._choices) for sample in samples]
        elif hasattr(answerer, "grade"):
            replies = [self._of_group(answerer, sample, self._grades) for sample in samples]
        else:
            replies = answerer.answer(samples)
        return [
            reply_result(sample, self.name, answerer.name, reply, swap_of=original_key(sample.key))
            for sample, reply in zip(samples, replies, strict=True)
        ]

    def unread(self, answerer: Any, seen: Seen, error: str) -> Result:
        return make_result(seen, self.name, answerer.name, error=error, swap_of=original_key(seen.key))

    def _of_group(self, answerer: Any, sample: Sample, ask: Callable[..., Replies]) -> Reply:
        """The reply to one pair, from those to all pairs of its group, which are kept until another is asked about."""
        group = self._groups[sample.truth.names[Slot.REFERENCE]]
        key = (id(answerer), group.reference, sample.full_reference)
        if self._kept is None or self._kept[0] != key:
            reference = sample.images[Slot.REFERENCE] if sample.full_reference else None
            replies = ask(answerer, self._pairs.opened.readable(group), reference)
            names = [image.name for image in group.images]
            self._kept = key, {(names[i], names[j]): reply for (i, j), reply in replies.items()}
        return self._kept[1][sample.truth.names[Slot.A], sample.truth.names[Slot.B]]

    def _choices(self, answerer: Any, images: Mapping[int, Image.Image], reference: Image.Image | None) -> Replies:
        numbers = list(images)
        replies = answerer.choose_all(list(images.values()), reference, self.swap)
        return {(numbers[i], numbers[j]): reply for (i, j), reply in replies.items()}

    def _grades(self, answerer: Any, images: Mapping[int, Image.Image], reference: Image.Image | None) -> Replies:
        beside = {Slot.REFERENCE: reference} if reference is not None else {}
        samples = [
            Sample(str(number), Task.ASSESSMENT, beside | {Slot.A: image}, (Turn(LEVEL_QUESTION),))
            for number, image in images.items()
        ]
        grades = dict(zip(images, answerer.grade(samples), strict=True))
        asked = [(i, j) for i in images for j in images if i < j or (self.swap and i != j)]
        return {(i, j): _higher(grades[i], grades[j]) for i, j in asked}


def _compares(answerer: Any) -> bool:
    tasks = getattr(answerer, "tasks", None)
    return tasks is None or Task.COMPARISON in tasks


def _higher(first: Reply, second: Reply) -> Reply:
    reasons = [f"image {slot}: {one.reason}" for slot, one in (("a", first), ("b", second)) if "a" not in one.scores]
    if reasons:
        return Reply("", reason="; ".join(reasons))
    a, b = first.scores["a"], second.scores["a"]
    better = TIE if a == b else "a" if a > b else "b"
    return Reply("", scores={"a": a, "b": b}, parsed={"better": better})
