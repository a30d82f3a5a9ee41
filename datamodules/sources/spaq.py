"""SPAQ: 11,125 photos of smartphones, mean opinion scores of 0 to 100

`Annotations/MOS and Image attribute scores.xlsx` (Image name, MOS) beside `TestImage/00001.jpg`; 100 is best. There is
no reference: pairs are of different photos, asked about without one.
Layout as read by public code; not tried on the original files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datamodules.parts import Part
from datamodules.raw import need_file
from datamodules.sources.image_files import ImageFiles, need_folders
from datamodules.sources.rated_pairs import photos
from datamodules.sources.ratings import Published, Ratings, Row, rate
from datamodules.sources.score_tables import read_sheet

PUBLISHED = Published(
    name="SPAQ",
    origin="SPAQ (Smartphone Photography Attribute and Quality), https://github.com/h4nwei/SPAQ",
    licence="see the page of SPAQ",
    images=11125,
    references=0,
    lowest=2.0,
    highest=96.0,
)
TABLE = "MOS and Image attribute scores.xlsx"


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of different photos; the options are those of `photos`."""
    return photos(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    table = need_file(raw, f"Annotations/{TABLE}", f"annotations/{TABLE}", TABLE, origin=PUBLISHED.origin)
    images = ImageFiles(raw, need_folders(raw, "TestImage", origin=PUBLISHED.origin))
    rows = (Row(where, str(name), "", score) for where, (name, score) in read_sheet(table, None, "Image name", "MOS"))
    return rate(rows, PUBLISHED, raw, images)
