"""LIVE release 2: 29 references, 5 distortions at strengths of all kinds, difference mean opinion scores

`dmos_realigned.mat` (dmos_new, orgs; or dmos.mat: dmos, orgs) and `refnames_all.mat` list 982 images in order: those of
`jp2k/img1.bmp`..., `jpeg/`, `wn/`, `gblur/`, `fastfading/`; `orgs` marks 203 of them that are references. The others'
are in `refimgs/`. Low is best.
Layout as read by public code; not tried on the original files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.parts import Part
from datamodules.raw import need_file
from datamodules.sources.image_files import ImageFiles, need_folders
from datamodules.sources.rated_pairs import same_reference
from datamodules.sources.ratings import Published, Ratings, Row, rate
from datamodules.sources.score_tables import read_mat

PUBLISHED = Published(
    name="LIVE",
    origin="LIVE Image Quality Assessment Database Release 2, https://live.ece.utexas.edu/research/quality/subjective.htm",
    licence="copyright The University of Texas at Austin; free to use with its copyright notice and citations",
    images=779,
    references=29,
    lowest=-2.64,
    highest=111.7747,
    higher_is_better=False,
)
FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
"""Distortion -> number of its images, in the order of the table."""


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    names = ("dmos_realigned.mat", "databaserelease2/dmos_realigned.mat", "dmos.mat", "databaserelease2/dmos.mat")
    table = need_file(raw, *names, origin=PUBLISHED.origin)
    base = table.parent
    images = ImageFiles(raw, need_folders(base, *FOLDERS, origin=PUBLISHED.origin), depth=2)
    references = ImageFiles(raw, need_folders(base, "refimgs", origin=PUBLISHED.origin))
    scores, originals = read_mat(table, "dmos_new" if table.stem == "dmos_realigned" else "dmos", "orgs")
    (refnames,) = read_mat(need_file(base, "refnames_all.mat", origin=PUBLISHED.origin), "refnames_all")
    files = [f"{folder}/img{number}.bmp" for folder, count in FOLDERS.items() for number in range(1, count + 1)]
    if not len(scores) == len(originals) == len(refnames) == len(files):
        raise ValueError(f"'{table}' and refnames_all.mat do not list {len(files)} images each; get the originals")
    unrated = {images.key(file) for file, original in zip(files, originals, strict=True) if original}
    return rate(_rows(table, files, refnames, scores, originals), PUBLISHED, raw, images, references, unrated)


def _rows(table: Path, *columns: list[Any]) -> Iterator[Row]:
    for number, (file, reference, score, original) in enumerate(zip(*columns, strict=True), 1):
        if not original:
            yield Row(f"'{table}' entry {number}", file, reference, score)
