"""Tables of mean opinion scores: rated images, what is not fit to use, and whether that is the dataset as published"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datamodules.held_out import split_names
from datamodules.parts import Rejected
from datamodules.raw import path_inside
from datamodules.sources.image_files import ImageFiles

log = logging.getLogger(__name__)

TOLERANCE = 0.01  # of the range of scores: tables are published with more or fewer digits


@dataclass(frozen=True)
class Published:
    """A dataset as its authors published it. `references` is 0 where there are none.

    `higher_is_better` is false for DMOS, which measure how far an image has fallen from its reference.
    """

    name: str
    origin: str
    licence: str
    images: int
    references: int
    lowest: float
    highest: float
    higher_is_better: bool = True

    @property
    def slack(self) -> float:
        return TOLERANCE * (self.highest - self.lowest)


@dataclass(frozen=True)
class Row:
    """A row of a table, as it stands there. `where` names it; `score` is whatever was in its place.

    Scores are compared within a `study` only; `split` is the published one, if there is one.
    """

    where: str
    image: str
    reference: str
    score: Any
    study: str = ""
    split: str = ""


@dataclass(frozen=True)
class RatedImage:
    """Paths are relative to the raw folder; `reference` is empty where there is none."""

    path: str
    reference: str
    score: float
    study: str = ""
    split: str = ""

    @property
    def origin(self) -> str:
        """Names the reference, or the photo itself, wherever the files lie and in whatever case."""
        return PurePosixPath(self.reference or self.path).name.lower()


@dataclass(frozen=True)
class Ratings:
    """All that a table gives."""

    images: tuple[RatedImage, ...]
    rejected: tuple[Rejected, ...]


def splits_of(images: Sequence[RatedImage], seed: int, val: float, test: float) -> list[str]:
    """Each image's split: the published one where there is one, else that of its reference, or of the photo itself;
    `val` and `test` are shares of these."""
    splits = split_names([image.origin for image in images], seed, val, test)
    return [image.split or splits[image.origin] for image in images]


def rate(
    rows: Iterable[Row],
    published: Published,
    raw: Path,
    images: ImageFiles,
    references: ImageFiles | None = None,
    unrated: Collection[str] = (),
) -> Ratings:
    """Rows with the files that they name.

    Set apart are rows without a score, with one outside the published range, twice or without their image, and
    images without a row, but for references and `unrated` (keys of `images` that were published without a score).
    ValueError where the table cannot be the published one.
    """
    rated: dict[str, RatedImage] = {}
    rejected: list[Rejected] = []
    known = set(unrated)
    count = 0
    for row in rows:
        count += 1
        known |= {images.key(row.image), images.key(row.reference)}  # references may stand beside the rated images
        try:
            image = _rated(row, published, raw, images, references)
            if image.path in rated:
                raise ValueError(f"image '{row.image}' has a row already; keep one")
            rated[image.path] = image
        except ValueError as error:
            rejected.append(Rejected(row.where, str(error)))
    rejected += [
        Rejected(f"image '{raw / path}'", f"no row in the table of {published.name} rates it; get the whole table")
        for key, path in images.paths.items()
        if key not in known
    ]
    ratings = Ratings(tuple(rated.values()), tuple(rejected))
    _compare_with_published(ratings, count, published)
    return ratings


def _rated(row: Row, published: Published, raw: Path, images: ImageFiles, references: ImageFiles | None) -> RatedImage:
    """ValueError where the row cannot be used."""
    try:
        score = float(row.score)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"image '{row.image}' has no score but {row.score!r}; get the original table")
    low, high = published.lowest, published.highest
    if not low - published.slack <= score <= high + published.slack:
        raise ValueError(f"image '{row.image}' has the score {score:g}; {published.name} has {low:g} to {high:g}")
    path = _found(row.image, raw, images)
    reference = "" if references is None else _found(row.reference, raw, references)
    return RatedImage(path, reference, score, row.study, row.split)


def _found(name: str, raw: Path, files: ImageFiles) -> str:
    path_inside(raw, name)
    path = files.find(name)
    if path is None:
        raise ValueError(f"image '{name}' not found in '{raw}'; put it there")
    return path


def _compare_with_published(ratings: Ratings, count: int, published: Published) -> None:
    """`count` is the number of rows. ValueError for too many rows, or as many with other scores or references."""
    if count > published.images:
        raise ValueError(f"the table of {published.name} has {count} rows, not {published.images}; get the original")
    if count < published.images:
        log.warning("%s: the table has %d of %d rows", published.name, count, published.images)
        return
    if len(ratings.images) < count:
        return  # what is set apart may be what is looked for below
    references = {image.origin for image in ratings.images if image.reference}
    if len(references) != published.references:
        raise ValueError(
            f"the table of {published.name} names {len(references)} references, not {published.references}; "
            f"get the original"
        )
    scores = [image.score for image in ratings.images]
    for found, stated in ((min(scores), published.lowest), (max(scores), published.highest)):
        if abs(found - stated) > published.slack:
            raise ValueError(
                f"the scores of {published.name} go from {min(scores):g} to {max(scores):g}, not from "
                f"{published.lowest:g} to {published.highest:g}; get the table in its original scale"
            )
