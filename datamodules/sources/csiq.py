"""CSIQ: 30 references, 6 distortions at 3 to 5 levels, difference mean opinion scores of 0 to 1

The sheet `all_by_image` of `csiq.DMOS.xlsx` (image, dst_type, dst_lev, dmos) beside `src_imgs/1600.png` and
`dst_imgs/AWGN/1600.AWGN.1.png`. 0 is best. Levels of `contrast` that nobody rated are left out.
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
from datamodules.sources.score_tables import read_sheet

PUBLISHED = Published(
    name="CSIQ",
    origin="CSIQ (Computational and Subjective Image Quality), http://vision.eng.shizuoka.ac.jp/mod/page/view.php?id=23",
    licence="see the page of CSIQ",
    images=866,
    references=30,
    lowest=0.0,
    highest=1.0,
    higher_is_better=False,
)
IN_NAMES = {"noise": "AWGN", "jpeg 2000": "jpeg2000"}
"""What the sheet calls a distortion -> what the names of files do, where that differs in more than case."""


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    table = need_file(raw, "csiq.DMOS.xlsx", "CSIQ/csiq.DMOS.xlsx", origin=PUBLISHED.origin)
    images = ImageFiles(raw, need_folders(table.parent, "dst_imgs", "dst_imgs_all", origin=PUBLISHED.origin))
    references = ImageFiles(raw, need_folders(table.parent, "src_imgs", origin=PUBLISHED.origin))
    unrated = {key for key in images.paths if ".contrast." in key}
    return rate(_rows(table), PUBLISHED, raw, images, references, unrated)


def _rows(table: Path) -> Iterator[Row]:
    for where, values in read_sheet(table, "all_by_image", "image", "dst_type", "dst_lev", "dmos"):
        image, kind, level = (_text(value) for value in values[:3])
        yield Row(where, f"{image}.{IN_NAMES.get(kind, kind)}.{level}.png", f"{image}.png", values[3])


def _text(value: Any) -> str:
    """A sheet holds the image `1600` and the levels as numbers."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
