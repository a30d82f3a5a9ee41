"""Images that people have scored, by reference, as samples: all pairs of a reference's, or each alone. Files are opened
when a sample is asked for, and those of one reference are kept."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, combinations

from PIL import Image

from depictqa.assess import BRIEF
from depictqa.evaluation.samples import LazySamples
from depictqa.sample import Sample, Slot, Task, Truth, Turn

Open = Callable[[], Image.Image]
"""Raises ValueError or OSError where the image cannot be read."""

LEVEL_QUESTION = "How would you rate the quality of the image?"


@dataclass(frozen=True)
class RatedImage:
    """`mos`: people's mean score, larger is better."""

    name: str
    mos: float
    open: Open


@dataclass(frozen=True)
class RatedGroup:
    """The images of one reference; `reference` is its name, empty where there is none (`open_reference`)."""

    reference: str
    images: tuple[RatedImage, ...]
    open_reference: Open | None = None


@dataclass(frozen=True)
class Entry:
    """What is known of a sample before its images are opened. `slots` hold their numbers in the group, None for the
    reference."""

    key: str
    task: Task
    slots: Mapping[Slot, int | None]
    dialogue: tuple[Turn, ...]
    truth: Truth

    @property
    def full_reference(self) -> bool:
        return Slot.REFERENCE in self.slots


class OpenGroup:
    """The images of the group that was asked about last, each read once; an image that cannot be read stays so."""

    def __init__(self) -> None:
        self._group: RatedGroup | None = None
        self._read: dict[int | None, Image.Image | Exception] = {}

    def image(self, group: RatedGroup, number: int | None) -> Image.Image:
        """Image `number`, or the reference for None. ValueError or OSError where it cannot be read."""
        if group is not self._group:
            self._group, self._read = group, {}
        if number not in self._read:
            opened = group.open_reference if number is None else group.images[number].open
            assert opened is not None, group.reference
            try:
                self._read[number] = opened()
            except (ValueError, OSError) as error:
                self._read[number] = error
        found = self._read[number]
        if isinstance(found, Exception):
            raise found
        return found

    def readable(self, group: RatedGroup) -> dict[int, Image.Image]:
        """The group's images by number, but for those that cannot be read."""
        found = {}
        for number in range(len(group.images)):
            try:
                found[number] = self.image(group, number)
            except (ValueError, OSError):
                continue
        return found


class RatedSamples(LazySamples):
    """A sample for each of `choices` of a group's images, as A or as A and B, group by group: with the reference and
    without it as `references` says. A group that has no reference is asked about without one."""

    def __init__(
        self,
        groups: Sequence[RatedGroup],
        references: Sequence[bool],
        task: Task,
        question: str,
        choices: Callable[[int], Sequence[tuple[int, ...]]],
    ) -> None:
        self.groups = groups
        self.task = task
        self.question = question
        self.opened = OpenGroup()
        self._choices = cache(choices)
        self._blocks = [
            (group, with_reference)
            for group in groups
            for with_reference in (references if group.open_reference is not None else (False,))
        ]
        self._ends = list(accumulate(len(self._choices(len(group.images))) for group, _ in self._blocks))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def sample(self, index: int) -> Sample:
        group, entry = self._entry(index)
        images = {slot: self.opened.image(group, number) for slot, number in entry.slots.items()}
        return Sample(entry.key, entry.task, images, entry.dialogue, entry.truth)

    def entry(self, index: int) -> Entry:
        return self._entry(index)[1]

    def _entry(self, index: int) -> tuple[RatedGroup, Entry]:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        block = bisect_right(self._ends, index)
        group, with_reference = self._blocks[block]
        choices = self._choices(len(group.images))
        shown = dict(zip((Slot.A, Slot.B), choices[index - self._ends[block]], strict=False))
        images = {slot: group.images[number] for slot, number in shown.items()}
        names = {Slot.REFERENCE: group.reference} if group.reference else {}
        truth = Truth(
            mos={slot: image.mos for slot, image in images.items()},
            names=names | {slot: image.name for slot, image in images.items()},
        )
        key = "|".join([*(image.name for image in images.values()), "with" if with_reference else "without"])
        slots: dict[Slot, int | None] = {Slot.REFERENCE: None} if with_reference else {}
        return group, Entry(key, self.task, slots | shown, (Turn(self.question),), truth)


def pairs(groups: Sequence[RatedGroup], references: Sequence[bool] = (True, False)) -> RatedSamples:
    """All pairs of each group's images, the earlier one as A."""
    return RatedSamples(groups, references, Task.COMPARISON, BRIEF, lambda num: [*combinations(range(num), 2)])


def singles(groups: Sequence[RatedGroup], references: Sequence[bool] = (True, False)) -> RatedSamples:
    """Each image alone."""
    return RatedSamples(groups, references, Task.ASSESSMENT, LEVEL_QUESTION, lambda num: [(n,) for n in range(num)])
