"""The making of one record from a photo: what is applied to it, by which its truth is known, and what is asked."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from datamodules.distortions import CLASSES, detectable_without_reference, distort
from datamodules.records import Record, RecordSample
from datamodules.sources.crops import Crop, View
from datamodules.sources.photos import Photo, load_pixels
from datamodules.writers import pools
from datamodules.writers.content import describe_content
from datamodules.writers.forms import fill_questionnaire
from datamodules.writers.rules import describe, reason
from depictqa.sample import Distortion, Slot, Task, Truth, Turn

BRIEF_COMPARISONS = (Task.COMPARISON, Task.RATING)
"""Which is better is asked without a reference too, whatever can be told of each image."""


@dataclass(frozen=True)
class Applied:
    """A class at a severity 1..5, by one of its functions; where none is named, chance takes one."""

    name: str
    severity: int
    function: str = ""


Pair = tuple[tuple[Applied, ...], tuple[Applied, ...]]
"""What is applied to the better and to the worse image, in this order; nothing to a clean one."""


@dataclass(frozen=True)
class Item:
    """One record to make: what is asked, what is applied by slot, the better one of two.

    `single_word`: whether the answer of a comparison is one, with the reference and without.
    """

    task: Task
    applied: dict[Slot, tuple[Applied, ...]]
    better: Slot | None = None
    single_word: tuple[bool, bool] = (True, True)


def pair_item(task: Task, pair: Pair, a_is_better: bool, single_word: tuple[bool, bool] = (True, True)) -> Item:
    """The better of a pair in slot A, or in B."""
    slots = (Slot.A, Slot.B) if a_is_better else (Slot.B, Slot.A)
    return Item(task, dict(zip(slots, pair, strict=True)), slots[0], single_word)


@dataclass(frozen=True)
class Maker:
    """Makes the records of one split of one source."""

    photos: tuple[Photo, ...]
    split: str
    view: View
    key: tuple[int, ...]
    functions_per_class: int = 1
    num_wordings: int | None = None  # of questions that name a distortion; None for all

    def make(self, number: int, item: Item) -> Record:
        """Record `number` of the plan: its own random numbers, so that it does not depend on the others."""
        rng = np.random.default_rng([*self.key, 1, number])
        photo = self.photos[number % len(self.photos)]
        crop = self.view.cut(photo, load_pixels(photo), rng)
        if item.task is Task.CONTENT:
            return self._content(number, crop, rng)
        images, truth = self._apply(crop, item, rng)
        images[Slot.REFERENCE] = crop.pixels
        slots = tuple(slot for slot in (Slot.A, Slot.B) if slot in images)
        turns = [self._turn(item, truth, rng, single_word) for single_word in item.single_word]
        asked = [
            (turn, *self._follow_up(item, truth, rng, known)) for turn, known in zip(turns, (True, False), strict=True)
        ]
        samples = [RecordSample(item.task, (Slot.REFERENCE, *slots), asked[0], truth)]
        if item.task in BRIEF_COMPARISONS or _all_detectable(truth.distortions.values()):
            samples.append(RecordSample(item.task, slots, asked[1], truth))
        return self._record(number, photo, images, samples)

    def _follow_up(self, item: Item, truth: Truth, rng: np.random.Generator, full_reference: bool) -> list[Turn]:
        """In training, what is wrong with each image of a comparison, asked after it, where that can be seen.

        The brief answers name what is to be seen in two words; from comparisons alone, whose one telling word is A
        or B, a model from scratch learns nothing in the time that the embedded default takes.
        """
        if item.task is not Task.COMPARISON or self.split != "train":
            return []
        slots = [slot for slot in truth.distortions if full_reference or _all_detectable([truth.distortions[slot]])]
        return [
            pools.identification(pools.image_name(slots[i]), truth.distortions[slots[i]], rng, self.num_wordings)
            for i in rng.permutation(len(slots))
        ]

    def _apply(self, crop: Crop, item: Item, rng: np.random.Generator) -> tuple[dict[Slot, np.ndarray], Truth]:
        """The distorted crop in each slot, and all that is known of it. Slots are taken in order, not in the item's."""
        images: dict[Slot, np.ndarray] = {}
        distortions: dict[Slot, tuple[Distortion, ...]] = {}
        for slot in sorted(item.applied):
            images[slot], distortions[slot] = crop.pixels, ()
            for applied in item.applied[slot]:
                functions = CLASSES[applied.name][: self.functions_per_class]
                function = applied.function or functions[int(rng.integers(len(functions)))]
                images[slot] = distort(images[slot], function, applied.severity, rng)
                distortions[slot] += (Distortion(applied.name, function, applied.severity),)
        forms = {slot: fill_questionnaire(found, crop.region.texture) for slot, found in distortions.items()}
        return images, Truth(better=item.better, distortions=distortions, questionnaires=forms)

    def _turn(self, item: Item, truth: Truth, rng: np.random.Generator, single_word: bool) -> Turn:
        if item.task in BRIEF_COMPARISONS:
            assert item.better is not None
            return pools.comparison(item.better, rng, single_word=single_word)
        if item.task is Task.REASONING:
            return Turn(pools.reasoning_question(rng), reason(truth, rng))
        if item.task is Task.IDENTIFICATION:
            return pools.identification("the image", truth.distortions[Slot.A], rng, self.num_wordings)
        return Turn(pools.description_question(rng), describe(truth, rng))

    def _content(self, number: int, crop: Crop, rng: np.random.Generator) -> Record:
        answer = describe_content(crop.pixels, crop.region.subjects, rng, crop.photo.sentences)
        sample = RecordSample(Task.CONTENT, (Slot.A,), (Turn(pools.content_question(rng), answer),))
        return self._record(number, crop.photo, {Slot.A: crop.pixels}, [sample])

    def _record(self, number: int, photo: Photo, images: dict[Slot, np.ndarray], samples: list[RecordSample]) -> Record:
        coded = {slot: _png(pixels) for slot, pixels in images.items()}
        return Record(f"{self.split}{number:06d}", coded, tuple(samples), reference=photo.name)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)  # a fast level: these files are small anyway
    return buffer.getvalue()


def _all_detectable(images: Iterable[Sequence[Distortion]]) -> bool:
    """Whether every distortion of some images shows without the reference."""
    found = [distortion for distortions in images for distortion in distortions]
    return all(detectable_without_reference(distortion.name, distortion.severity) for distortion in found)
