"""The recipe of DQ-495K on any folder of photos: four tasks, single and double distortions, with and without reference.

Released, DQ-495K distorts KADIS-700k's photos; here they are one's own. Its ratings come from scores; here the better
image of a pair is the one whose distortions are weaker in every respect, which needs no score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.distortions import CLASS_OF, CLASSES, MIN_SIDE, SEVERITIES
from datamodules.distortions.compose import draw_pair
from datamodules.parts import Part, Rejected
from datamodules.raw import need_folder, read_image
from datamodules.shards import SPLITS
from datamodules.sources.crops import Frame
from datamodules.sources.photos import Photo, licences, own_photos, photo_path
from datamodules.sources.plans import CLEAN_SHARE, SAME_CLASS_SHARE
from datamodules.sources.recipes import Applied, Item, Maker, Pair, pair_item
from datamodules.writers import pools
from depictqa.image import decode_image
from depictqa.sample import Slot, Task

MARGIN = 2  # steps of severity, in sum, between two images of different distortions
SOURCE_OF = {
    Task.IDENTIFICATION: "templated",
    Task.RATING: "templated",
    Task.ASSESSMENT: "detailed",
    Task.REASONING: "detailed",
}


@dataclass(frozen=True)
class Kind:
    """A task on images of one distortion each, or of two."""

    task: Task
    double: bool


KINDS = {
    "identification_single": Kind(Task.IDENTIFICATION, False),
    "identification_double": Kind(Task.IDENTIFICATION, True),
    "rating_single": Kind(Task.RATING, False),
    "rating_double": Kind(Task.RATING, True),
    "assessment_single": Kind(Task.ASSESSMENT, False),
    "assessment_double": Kind(Task.ASSESSMENT, True),
    "reasoning_single": Kind(Task.REASONING, False),
    "reasoning_double": Kind(Task.REASONING, True),
}


def parts(
    raw: Path,
    seed: int,
    num_records: int = 10_000,
    shares: Mapping[str, float] | None = None,
    val: float = 0.05,
    test: float = 0.05,
    width: int = 320,
    height: int = 240,
) -> list[Part]:
    """`num_records` of the photos in `raw`, in the proportions `shares` by name of `KINDS` (alike where None).

    `val` and `test` are the shares of records; which photos they are made of is drawn by `seed`. Photos that cannot
    be read, or are smaller than `width` x `height` px, are set apart. ValueError where too few are left.
    """
    chosen = dict.fromkeys(KINDS, 1.0) if shares is None else _checked(shares)
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"width and height are {width}x{height}; give at least {MIN_SIDE} px each")
    if num_records < 1 or not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise ValueError(f"num_records={num_records} val={val} test={test}; give a count, and shares below 1 in sum")
    photos, rejected = _fit_photos(need_folder(raw, "a folder of photos"), seed, width, height)
    counts = {"val": round(num_records * val), "test": round(num_records * test)}
    counts["train"] = num_records - sum(counts.values())
    found = []
    for split in SPLITS:
        for source in ("templated", "detailed"):
            items = _plan(source, counts[split], split, chosen, seed)
            own = tuple(photo for photo in photos if photo.split == split)
            if not items:
                continue
            key = (seed, SPLITS.index(split), ("templated", "detailed").index(source))
            maker = Maker(own, split, Frame(width, height), key, max(map(len, CLASSES.values())))
            found.append(Part(source, split, [*items, *rejected], maker.make, licences(own)))
            rejected = []  # named once
    return found


def _checked(shares: Mapping[str, float]) -> dict[str, float]:
    for name, share in shares.items():
        if name not in KINDS:
            raise ValueError(f"kind of record '{name}' unknown; choose {', '.join(KINDS)} (source.shares)")
        if share < 0:
            raise ValueError(f"share of '{name}' is {share}; give 0 or more (source.shares)")
    if not sum(shares.values()) > 0:
        raise ValueError("all shares are 0; give one of them more (source.shares)")
    return dict(shares)


def _fit_photos(folder: Path, seed: int, width: int, height: int) -> tuple[list[Photo], list[Rejected]]:
    """Photos that decode and are large enough, and the others."""
    fit, rejected = [], []
    for photo in own_photos(folder, seed):
        path = photo_path(photo)
        try:
            image = decode_image(read_image(path.parent, path.name), str(path))
            if max(image.size) < max(width, height) or min(image.size) < min(width, height):
                raise ValueError(f"photo '{path}' has {image.width}x{image.height} px; give at least {width}x{height}")
            fit.append(photo)
        except (ValueError, OSError) as error:
            rejected.append(Rejected(str(path), " ".join(str(error).split())))
    for split in SPLITS:
        if not any(photo.split == split for photo in fit):
            first = f" ({rejected[0].reason})" if rejected else ""
            raise ValueError(f"'{folder}' leaves no photo for {split}{first}; add photos")
    return fit, rejected


def _plan(source: str, count: int, split: str, shares: Mapping[str, float], seed: int) -> list[Item]:
    """The records of a source in random order; each kind as often as its share of all says."""
    rng = np.random.default_rng([seed, SPLITS.index(split), sorted(set(SOURCE_OF.values())).index(source), 7])
    items: list[Item] = []
    for name, number in _apportion(count, shares).items():
        if SOURCE_OF[KINDS[name].task] == source:
            items += _items(KINDS[name], number, split, rng)
    return [items[i] for i in rng.permutation(len(items))]


def _apportion(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that add up to `count`, by largest remainders (Hamilton's method)."""
    exact = {name: count * share / sum(shares.values()) for name, share in shares.items()}
    whole = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: whole[name] - exact[name])
    for name in by_remainder[: count - sum(whole.values())]:
        whole[name] += 1
    return whole


def _items(kind: Kind, count: int, split: str, rng: np.random.Generator) -> list[Item]:
    if not kind.task.compares:
        return [Item(kind.task, {Slot.A: _single(kind.double, rng)}) for _ in range(count)]
    better = pools.balanced(count, rng)
    brief = pools.balanced(2 * count, rng) if split == "train" else [True] * (2 * count)
    return [
        pair_item(kind.task, _pair(kind.double, rng), a, (brief[2 * i], brief[2 * i + 1])) for i, a in enumerate(better)
    ]


def _single(double: bool, rng: np.random.Generator) -> tuple[Applied, ...]:
    return () if rng.random() < CLEAN_SHARE else _draw(double, rng)


def _draw(double: bool, rng: np.random.Generator) -> tuple[Applied, ...]:
    """One distortion, each class and severity equally likely; or two in an order that makes sense."""
    if double:
        return tuple(Applied(CLASS_OF[function], severity, function) for function, severity in draw_pair(rng))
    name = tuple(CLASSES)[int(rng.integers(len(CLASSES)))]
    function = CLASSES[name][int(rng.integers(len(CLASSES[name])))]
    return (Applied(name, SEVERITIES[int(rng.integers(len(SEVERITIES)))], function),)


def _pair(double: bool, rng: np.random.Generator) -> Pair:
    """The better and the worse of a pair: half of them the same distortions at other severities."""
    same = rng.random() < SAME_CLASS_SHARE
    while True:
        worse, other = _draw(double, rng), _draw(double, rng)
        if same:
            better = tuple(Applied(a.name, b.severity, a.function) for a, b in zip(worse, other, strict=True))
        else:
            better = () if rng.random() < CLEAN_SHARE else other
        if is_better(better, worse, 1 if same or not better else MARGIN):
            return better, worse


def is_better(one: Sequence[Applied], other: Sequence[Applied], margin: int) -> bool:
    """Whether `one` is weaker, severity by severity from the strongest down, and by `margin` in sum."""
    a, b = (sorted((applied.severity for applied in image), reverse=True) for image in (one, other))
    a += [0] * (len(b) - len(a))
    return len(a) == len(b) and all(x <= y for x, y in zip(a, b, strict=True)) and sum(b) - sum(a) >= margin
