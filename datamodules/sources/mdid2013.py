"""MDID2013: 12 references, blur, JPEG and noise at 3 levels each and all at once, difference mean opinion scores

`MDID_dmos.mat` (MDID_dmos) lists the scores of `MDID2013/img001.png` to `img324.png` in order, 27 for each of
`org001.png` to `org012.png`, which lie there too or in `Ref/`. Low is best.
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
from datamodules.sources.score_tables import read_mat

PUBLISHED = Published(
    name="MDID2013",
    origin="MDID2013 (Gu et al., IEEE Transactions on Broadcasting, 2014), https://ieeexplore.ieee.org/document/6879255",
    licence="as the authors of MDID2013 state",
    images=324,
    references=12,
    lowest=0.31971,
    highest=0.55271,
    higher_is_better=False,
)
PER_REFERENCE = 27


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    table = need_file(raw, "MDID_dmos.mat", "MDID2013/MDID_dmos.mat", "dmos.mat", origin=PUBLISHED.origin)
    folders = need_folders(table.parent, "MDID2013", "Ref", "dst_img", origin=PUBLISHED.origin)
    images = ImageFiles(raw, folders)
    (scores,) = read_mat(table, "MDID_dmos")
    rows = [
        Row(f"'{table}' entry {number}", f"img{number:03d}.png", f"org{-(-number // PER_REFERENCE):03d}.png", score)
        for number, score in enumerate(scores, 1)
    ]
    return rate(rows, PUBLISHED, raw, images, images)
