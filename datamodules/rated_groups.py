"""Raw datasets of scored images as they are evaluated on: by reference, a split of them, files opened when needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from datamodules.held_out import position
from datamodules.raw import read_image
from datamodules.shards import SPLITS
from datamodules.sources import ratings
from datamodules.sources.ratings import Published, Ratings, splits_of
from depictqa.evaluation.rated_images import RatedGroup, RatedImage
from depictqa.image import decode_image

log = logging.getLogger(__name__)

ALL = "all"


def rated_groups(
    raw: Path,
    found: Ratings,
    published: Published,
    seed: int,
    *,
    split: str = "test",
    val: float,
    test: float,
    num_references: int | None = None,
    num_images: int | None = None,
    long_side: int | None = None,
) -> list[RatedGroup]:
    """The images of `split`, as a build with the same `seed`, `val` and `test` splits them, or of `all`; those of each
    reference (and study) are a group, a photo without one is a group of its own.

    Groups, and the images in each, stand in an order that is a function of their names and has nothing to do with
    distortion or quality; the first `num_references`, and `num_images` of each, are taken (of photos, so many in all).
    Difference scores have their sign turned: `mos` is larger for the better image. Photos with a side above `long_side`
    px are scaled down to it, as a build does. ValueError for an unknown or an empty split.
    """
    if split not in (*SPLITS, ALL):
        raise ValueError(f"split '{split}' unknown; choose {', '.join(SPLITS)} or {ALL} (evaluation.split)")
    for option, number in (("num_references", num_references), ("num_images", num_images)):
        if number is not None and number < 1:
            raise ValueError(f"{option} is {number}; give at least 1, or null for all (evaluation.{option})")
    _tell_rejected(found, published)
    splits = splits_of(found.images, seed, val, test)
    chosen = [image for image, of in zip(found.images, splits, strict=True) if split in (of, ALL)]
    if not chosen:
        raise ValueError(
            f"no image of {published.name} is in '{split}', with shares val={val:g} and test={test:g}; choose another "
            "(evaluation.split)"
        )
    root = os.path.commonpath([os.path.dirname(image.path) for image in found.images])
    groups: dict[str, list[ratings.RatedImage]] = {}
    for image in chosen:
        groups.setdefault(f"{image.origin} {image.study}".rstrip(), []).append(image)
    names = sorted(groups, key=_place)[: num_references if published.references else num_images]
    return [_group(raw, root, name, groups[name], published, num_images, long_side) for name in names]


def _group(
    raw: Path,
    root: str,
    name: str,
    images: Sequence[ratings.RatedImage],
    published: Published,
    num_images: int | None,
    long_side: int | None,
) -> RatedGroup:
    sign = 1.0 if published.higher_is_better else -1.0
    rated = [
        RatedImage(os.path.relpath(image.path, root), sign * image.score, partial(_open, raw, image.path, long_side))
        for image in images
    ]
    taken = tuple(sorted(rated, key=lambda image: _place(image.name))[:num_images])
    if not published.references:
        return RatedGroup("", taken)
    return RatedGroup(name, taken, partial(_open, raw, images[0].reference, long_side))


def _place(name: str) -> tuple[float, str]:
    return position(name, seed=0), name


def _open(raw: Path, path: str, long_side: int | None) -> Image.Image:
    image = decode_image(read_image(raw, path), str(raw / path))
    if long_side is not None and max(image.size) > long_side:
        image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    return image


def _tell_rejected(found: Ratings, published: Published) -> None:
    if found.rejected:
        first = found.rejected[0]
        log.warning(
            "%s: %d rows or images are set apart and not asked about, the first: %s: %s",
            published.name,
            len(found.rejected),
            first.name,
            first.reason,
        )
