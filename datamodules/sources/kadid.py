"""KADID-10k: 81 references, 25 distortions at 5 levels, mean opinion scores of 1 to 5

`dmos.csv` (dist_img, ref_img, dmos, var) beside `images/`, which holds references and distorted images. Its column
`dmos` is a MOS: 5 is best; `var` holds standard deviations.
Layout as read by public code; not tried on the original files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datamodules.parts import Part
from datamodules.raw import need_file
from datamodules.sources.image_files import ImageFiles, need_folders
from datamodules.sources.rated_pairs import same_reference
from datamodules.sources.ratings import Published, Ratings, Row, rate
from datamodules.sources.score_tables import read_csv

PUBLISHED = Published(
    name="KADID-10k",
    origin="KADID-10k (University of Konstanz), http://database.mmsp-kn.de/kadid-10k-database.html",
    licence="see the page of KADID-10k",
    images=10125,
    references=81,
    lowest=1.0,
    highest=4.93,
)


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    table = need_file(raw, "dmos.csv", "kadid10k/dmos.csv", origin=PUBLISHED.origin)
    images = ImageFiles(raw, need_folders(table.parent, "images", origin=PUBLISHED.origin))
    rows = (Row(where, *fields) for where, fields in read_csv(table, "dist_img", "ref_img", "dmos"))
    return rate(rows, PUBLISHED, raw, images, images)
