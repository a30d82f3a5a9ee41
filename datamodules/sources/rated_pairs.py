"""Comparisons from mean opinion scores: pairs of rated images whose scores differ clearly, as templated records"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from datamodules.held_out import split_names
from datamodules.parts import Part, Rejected
from datamodules.raw import read_image
from datamodules.records import Record, RecordSample, record_key
from datamodules.shards import SPLITS
from datamodules.sources.ratings import Published, RatedImage, Ratings, splits_of
from datamodules.writers import pools
from depictqa.image import decode_image
from depictqa.sample import Slot, Task, Truth

LISTED = 1500  # images of which all pairs are listed; of more, pairs are drawn
DRAWS = 100  # rounds of drawing, after which there are hardly more pairs

Pair = tuple[RatedImage, RatedImage]


@dataclass(frozen=True)
class Comparison:
    """A record to make: paths of its images, which is better, and which of its questions ask for a single word.

    `reference` is empty where there is none; then the record has one question instead of two.
    """

    dataset: str
    reference: str
    a: str
    b: str
    better: Slot
    single_word: tuple[bool, ...]


def same_reference(
    raw: Path,
    ratings: Ratings,
    published: Published,
    seed: int,
    *,
    margin: float,
    pairs_per_reference: int,
    val: float,
    test: float,
) -> list[Part]:
    """Pairs made from one reference and scored in one study, asked about with the reference and without.

    Their scores differ by `margin` or more; chance takes up to `pairs_per_reference` of them. `val` and `test`
    are shares of the references.
    """
    _check(margin, pairs_per_reference, "pairs_per_reference")
    studies: dict[str, dict[str, list[RatedImage]]] = {}
    for image in ratings.images:
        studies.setdefault(image.origin, {}).setdefault(image.study, []).append(image)
    splits = split_names(studies, seed, val, test)
    chosen: dict[str, list[Pair]] = {}
    for reference, groups in sorted(studies.items()):
        pairs = [pair for images in groups.values() for pair in differing(images, margin)]
        rng = _rng(reference, seed)
        few = [pairs[i] for i in rng.permutation(len(pairs))[:pairs_per_reference]]
        chosen.setdefault(splits[reference], []).extend(few)
    return _parts(raw, ratings, published, seed, chosen, margin)


def photos(
    raw: Path,
    ratings: Ratings,
    published: Published,
    seed: int,
    *,
    margin: float,
    pairs_per_photo: float,
    val: float,
    test: float,
    long_side: int | None = None,
) -> list[Part]:
    """Pairs of different photos, which have no reference.

    A split of n photos gives `pairs_per_photo` n pairs whose scores differ by `margin` or more. `val` and `test` are
    shares of the photos, where no split is published. Photos with a side above `long_side` px are scaled down to it.
    """
    _check(margin, pairs_per_photo, "pairs_per_photo")
    by_split: dict[str, list[RatedImage]] = {}
    for image, split in zip(ratings.images, splits_of(ratings.images, seed, val, test), strict=True):
        by_split.setdefault(split, []).append(image)
    chosen = {
        split: draw(images, margin, round(pairs_per_photo * len(images)), _rng(split, seed))
        for split, images in by_split.items()
    }
    return _parts(raw, ratings, published, seed, chosen, margin, long_side)


def differing(images: Sequence[RatedImage], margin: float) -> list[Pair]:
    """All pairs, each once, whose scores differ by `margin` or more."""
    scores = np.array([image.score for image in images])
    first, second = np.triu_indices(len(images), 1)
    wide = np.abs(scores[first] - scores[second]) >= margin * (1 - 1e-9)
    return [(images[i], images[j]) for i, j in zip(first[wide], second[wide], strict=True)]


def draw(images: Sequence[RatedImage], margin: float, count: int, rng: np.random.Generator) -> list[Pair]:
    """`count` distinct pairs of them by chance, or as many as there are."""
    if len(images) <= LISTED:
        pairs = differing(images, margin)
        return [pairs[i] for i in rng.permutation(len(pairs))[:count]]
    scores = np.array([image.score for image in images])
    found: dict[tuple[int, int], None] = {}
    for _ in range(DRAWS):
        first, second = np.sort(rng.integers(len(images), size=(2, count)), axis=0)
        wide = np.abs(scores[first] - scores[second]) >= margin * (1 - 1e-9)
        found.update(dict.fromkeys(zip(first[wide].tolist(), second[wide].tolist(), strict=True)))
        if len(found) >= count:
            break
    return [(images[i], images[j]) for i, j in list(found)[:count]]


def compare(raw: Path, seed: int, long_side: int | None, number: int, item: Comparison) -> Record:
    """The record: its images, read here, and a brief question with and one without the reference."""
    rng = np.random.default_rng([seed, number])
    paths = {Slot.REFERENCE: item.reference, Slot.A: item.a, Slot.B: item.b}
    images = {slot: _read(raw, path, long_side) for slot, path in paths.items() if path}
    seen = [tuple(images)] if not item.reference else [tuple(images), (Slot.A, Slot.B)]
    samples = tuple(
        RecordSample(
            Task.COMPARISON,
            slots,
            (pools.comparison(item.better, rng, single_word=single_word),),
            Truth(better=item.better),
        )
        for slots, single_word in zip(seen, item.single_word, strict=True)
    )
    if not item.reference:
        return Record(record_key(number, ""), images, samples)
    origin = PurePosixPath(item.reference)
    return Record(record_key(number, origin.stem), images, samples, f"{item.dataset}/{origin.name.lower()}")


def _parts(
    raw: Path,
    ratings: Ratings,
    published: Published,
    seed: int,
    chosen: Mapping[str, Sequence[Pair]],
    margin: float,
    long_side: int | None = None,
) -> list[Part]:
    splits = [split for split in SPLITS if chosen.get(split)]
    if not splits:
        raise ValueError(
            f"no two of {len(ratings.images)} rated images of {published.name} can be compared: none of one reference "
            f"and split differ by {margin:g}; lower the margin, or see what else is missing: {_first(ratings.rejected)}"
        )
    make = partial(compare, raw, seed, long_side)
    found = []
    for split in splits:
        items: list[Comparison | Rejected] = [*_comparisons(chosen[split], published, split, seed)]
        if split == splits[0]:
            items += ratings.rejected
        found.append(Part("templated", split, items, make, published.licence))
    return found


def _comparisons(pairs: Sequence[Pair], published: Published, split: str, seed: int) -> list[Comparison]:
    """In random order. In half of them A is better; half of the training questions ask for a single word."""
    rng = _rng(f"order of {split}", seed)
    num_asked = 2 if published.references else 1
    brief = pools.balanced(num_asked * len(pairs), rng)
    if split != "train":
        brief = [True] * len(brief)
    better = pools.balanced(len(pairs), rng)
    items = []
    for number, place in enumerate(rng.permutation(len(pairs))):
        best, worst = pairs[place]
        if (best.score > worst.score) != published.higher_is_better:
            best, worst = worst, best
        a, b = (best, worst) if better[number] else (worst, best)
        single_word = tuple(brief[num_asked * number : num_asked * (number + 1)])
        slot = Slot.A if better[number] else Slot.B
        items.append(Comparison(published.name, best.reference, a.path, b.path, slot, single_word))
    return items


def _read(raw: Path, path: str, long_side: int | None) -> bytes | Image.Image:
    data = read_image(raw, path)
    if long_side is None:
        return data
    image = decode_image(data, path)
    if max(image.size) > long_side:
        image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    return image


def _rng(name: str, seed: int) -> np.random.Generator:
    """Random numbers of one thing, whatever else there is."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _check(margin: float, count: float, option: str) -> None:
    if not margin > 0:
        raise ValueError(f"margin is {margin}; give the least difference of two scores, above 0")
    if not count > 0:
        raise ValueError(f"{option} is {count}; give a number above 0")


def _first(rejected: Sequence[Rejected]) -> str:
    return "; ".join(f"{one.name}: {one.reason}" for one in rejected[:3]) or "nothing was set apart"
