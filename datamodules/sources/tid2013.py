"""TID2013: 25 references, 24 distortions at 5 levels, mean opinion scores of 0 to 9

`mos_with_names.txt` has lines `5.51429 I01_01_1.bmp`, in upper and lower case; `distorted_images/` and
`reference_images/I01.BMP` beside it. 9 is best.
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
from datamodules.sources.score_tables import read_lines

PUBLISHED = Published(
    name="TID2013",
    origin="TID2013 (Tampere Image Database), http://www.ponomarenko.info/tid2013.htm",
    licence="see the page of TID2013",
    images=3000,
    references=25,
    lowest=0.24242,
    highest=7.2143,
)


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    table = need_file(raw, "mos_with_names.txt", "tid2013/mos_with_names.txt", origin=PUBLISHED.origin)
    images = ImageFiles(raw, need_folders(table.parent, "distorted_images", origin=PUBLISHED.origin))
    references = ImageFiles(raw, need_folders(table.parent, "reference_images", origin=PUBLISHED.origin))
    return rate(_rows(table), PUBLISHED, raw, images, references)


def _rows(table: Path) -> Iterator[Row]:
    for where, fields in read_lines(table):
        name = fields[-1]
        if name.lower().endswith(".bmp"):  # anything else is a header
            yield Row(where, name, f"{name.split('_')[0]}.bmp", fields[0] if len(fields) > 1 else "")
