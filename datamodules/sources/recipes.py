"""What each record of the embedded data holds: a balanced plan for a split, and the making of one record from it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from PIL import Image

from datamodules.distortions import CLASSES, SEVERITIES, detectable_without_reference, distort
from datamodules.records import Record, RecordSample
from datamodules.sources.crops import Crop, Jitter, cut
from datamodules.sources.photos import Photo, load_pixels
from datamodules.writers import pools
from datamodules.writers.content import describe_content
from datamodules.writers.forms import fill_questionnaire
from datamodules.writers.rules import describe, reason
from depictqa.sample import Distortion, Slot, Task, Truth, Turn

CLEAN_SHARE = 0.05  # as in DQ-495K
SAME_CLASS_SHARE = 0.5  # of pairs, one class at two severities; else two classes
SINGLE_SHARE = 0.5  # of detailed records, a description of one image; else a pair to be reasoned about

_NAMES = tuple(CLASSES)
_LEVELS = tuple(combinations(SEVERITIES, 2))
_T = TypeVar("_T")


@dataclass(frozen=True)
class Applied:
    """A class at a severity; severity 0 is a clean image."""

    name: str
    severity: int


@dataclass(frozen=True)
class Item:
    """One record to make: the distortions by slot, the better one of two, and how brief the answers are.

    `tasks` by which texts are written; `single_word` for the sample with a reference and the one without.
    """

    task: Task
    applied: dict[Slot, Applied]
    better: Slot | None = None
    single_word: tuple[bool, bool] = (True, True)


def plan_templated(count: int, split: str, key: Sequence[int]) -> list[Item]:
    """Pairs. Half have A better; half of the training questions ask for a single word, all of the others."""
    rng = np.random.default_rng([*key, 0])
    pairs = _pairs(count, rng)
    better = pools.balanced(count, rng)
    brief = pools.balanced(2 * count, rng) if split == "train" else [True] * (2 * count)
    return [
        _pair_item(Task.COMPARISON, pair, a, (brief[2 * i], brief[2 * i + 1]))
        for i, (pair, a) in enumerate(zip(pairs, better, strict=True))
    ]


def plan_identification(count: int, key: Sequence[int]) -> list[Item]:
    """Single images with every class and severity equally often."""
    return _singles(Task.IDENTIFICATION, count, np.random.default_rng([*key, 2]))


def plan_detailed(count: int, split: str, key: Sequence[int]) -> list[Item]:
    """Single images with every class and severity equally often, and pairs of which half have A better."""
    rng = np.random.default_rng([*key, 0])
    num_single = round(count * SINGLE_SHARE)
    items = _singles(Task.DESCRIPTION, num_single, rng)
    better = pools.balanced(count - num_single, rng)
    for pair, a in zip(_pairs(count - num_single, rng), better, strict=True):
        items.append(_pair_item(Task.REASONING, pair, a))
    return [items[i] for i in rng.permutation(count)]


def _singles(task: Task, count: int, rng: np.random.Generator) -> list[Item]:
    names, severities = _cycled(_NAMES, count, rng), _cycled(SEVERITIES, count, rng)
    clean = rng.random(count) < CLEAN_SHARE
    return [
        Item(task, {Slot.A: Applied(name, 0 if none else severity)})
        for name, severity, none in zip(names, severities, clean, strict=True)
    ]


def plan_external(count: int, split: str, key: Sequence[int]) -> list[Item]:
    """Clean crops."""
    return [Item(Task.CONTENT, {Slot.A: Applied(_NAMES[0], 0)})] * count


def _pairs(count: int, rng: np.random.Generator) -> list[tuple[Applied, Applied]]:
    """(better, worse): severities differ; every class is equally often the better and the worse of a pair."""
    better, worse = _cycled(_NAMES, count, rng), _cycled(_NAMES, count, rng)
    levels = _cycled(_LEVELS, count, rng)
    same, clean = rng.random(count) < SAME_CLASS_SHARE, rng.random(count) < CLEAN_SHARE
    return [
        (Applied(worse[i] if same[i] else better[i], 0 if clean[i] else levels[i][0]), Applied(worse[i], levels[i][1]))
        for i in range(count)
    ]


def _pair_item(
    task: Task, pair: tuple[Applied, Applied], a_is_better: bool, single_word: tuple[bool, bool] = (True, True)
) -> Item:
    slots = (Slot.A, Slot.B) if a_is_better else (Slot.B, Slot.A)
    return Item(task, dict(zip(slots, pair, strict=True)), slots[0], single_word)


def _cycled(values: Sequence[_T], count: int, rng: np.random.Generator) -> list[_T]:
    """`count` values in random order, each equally often (give or take one)."""
    return [values[int(i) % len(values)] for i in rng.permutation(count)]


@dataclass(frozen=True)
class Maker:
    """Makes the records of one split of one source."""

    photos: tuple[Photo, ...]
    split: str
    crop_size: int
    key: tuple[int, ...]
    functions_per_class: int = 1

    def make_all(self, numbers: Sequence[int], items: Sequence[Item]) -> list[Record]:
        return [self.make(number, item) for number, item in zip(numbers, items, strict=True)]

    def make(self, number: int, item: Item) -> Record:
        """Record `number` of the plan: its own random numbers, so that it does not depend on the others."""
        rng = np.random.default_rng([*self.key, 1, number])
        photo = self.photos[number % len(self.photos)]
        crop = cut(photo, load_pixels(photo), self.crop_size, rng, Jitter() if self.split == "train" else None)
        if item.task is Task.CONTENT:
            return self._content(number, crop, rng)
        images, truth = self._apply(crop, item, rng)
        images[Slot.REFERENCE] = crop.pixels
        slots = tuple(slot for slot in (Slot.A, Slot.B) if slot in images)
        turns = [_turn(item, truth, rng, single_word) for single_word in item.single_word]
        asked = [
            (turn, *self._follow_up(item, truth, rng, known)) for turn, known in zip(turns, (True, False), strict=True)
        ]
        samples = [RecordSample(item.task, (Slot.REFERENCE, *slots), asked[0], truth)]
        if item.task is Task.COMPARISON or _all_detectable(truth.distortions.values()):
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
            pools.identification(pools.image_name(slots[i]), truth.distortions[slots[i]], rng)
            for i in rng.permutation(len(slots))
        ]

    def _apply(self, crop: Crop, item: Item, rng: np.random.Generator) -> tuple[dict[Slot, np.ndarray], Truth]:
        """The distorted crop in each slot, and all that is known of it. Slots are taken in order, not in the item's."""
        images: dict[Slot, np.ndarray] = {}
        distortions: dict[Slot, tuple[Distortion, ...]] = {}
        for slot in sorted(item.applied):
            applied = item.applied[slot]
            if applied.severity == 0:
                images[slot], distortions[slot] = crop.pixels, ()
                continue
            functions = CLASSES[applied.name][: self.functions_per_class]
            function = functions[int(rng.integers(len(functions)))]
            images[slot] = distort(crop.pixels, function, applied.severity, rng)
            distortions[slot] = (Distortion(applied.name, function, applied.severity),)
        forms = {slot: fill_questionnaire(found, crop.region.texture) for slot, found in distortions.items()}
        return images, Truth(better=item.better, distortions=distortions, questionnaires=forms)

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


def _turn(item: Item, truth: Truth, rng: np.random.Generator, single_word: bool) -> Turn:
    if item.task is Task.COMPARISON:
        assert item.better is not None
        return pools.comparison(item.better, rng, single_word=single_word)
    if item.task is Task.REASONING:
        return Turn(pools.reasoning_question(rng), reason(truth, rng))
    if item.task is Task.IDENTIFICATION:
        return pools.identification("the image", truth.distortions[Slot.A], rng)
    return Turn(pools.description_question(rng), describe(truth, rng))
