"""PIPAL: 200 references, 116 distorted images each (restoration networks among them), Elo scores

`Train_Label/A0001.txt` has lines `A0001_00_00.bmp,1520.06`; the reference is `Train_Ref/A0001.bmp`, the distorted
images lie in `Distortion_1/` to `Distortion_4/` (or `Train_Dist/`). More Elo points are better. Only the training part
is published with scores.
Layout as read by public code; not tried on the original files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.parts import Part
from datamodules.sources.image_files import ImageFiles, need_folders
from datamodules.sources.rated_pairs import same_reference
from datamodules.sources.ratings import Published, Ratings, Row, rate
from datamodules.sources.score_tables import read_lines

PUBLISHED = Published(
    name="PIPAL",
    origin="PIPAL, https://www.jasongt.com/projectpages/pipal.html",
    licence="see the page of PIPAL",
    images=23200,
    references=200,
    lowest=916.7136,
    highest=1835.9856,
)
DISTORTED = ("Distortion_1", "Distortion_2", "Distortion_3", "Distortion_4", "Train_Dist", "Train_Distort", "Dist_Imgs")


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    labels = need_folders(raw, "Train_Label", origin=PUBLISHED.origin)
    images = ImageFiles(raw, need_folders(raw, *DISTORTED, origin=PUBLISHED.origin))
    references = ImageFiles(raw, need_folders(raw, "Train_Ref", origin=PUBLISHED.origin))
    tables = sorted(path for folder in labels for path in folder.rglob("*.txt") if not path.name.startswith("."))
    if not tables:
        raise FileNotFoundError(f"'{labels[0] / 'A0001.txt'}' is missing; get it from {PUBLISHED.origin}")
    return rate(_rows(tables), PUBLISHED, raw, images, references)


def _rows(tables: list[Path]) -> Iterator[Row]:
    for table in tables:
        for where, (name, *score) in read_lines(table, ","):
            if name.lower().endswith(".bmp"):  # anything else is a header
                yield Row(where, name, f"{name.split('_')[0]}.bmp", score[0] if score else "")
