"""KonIQ-10k: 10,073 photos with the distortions that they were taken with, mean opinion scores of 1 to 5

`koniq10k_scores_and_distributions.csv` (image_name, MOS) beside `1024x768/` (or, half the size, `512x384/`); 5 is best.
There is no reference: pairs are of different photos, asked about without one. The published split is read from
`koniq10k_distributions_sets.csv` (image_name, set) where it is there too.
Layout as read by public code; not tried on the original files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datamodules.parts import Part
from datamodules.raw import need_file
from datamodules.sources.image_files import ImageFiles, need_folders
from datamodules.sources.rated_pairs import photos
from datamodules.sources.ratings import Published, Ratings, Row, rate
from datamodules.sources.score_tables import read_csv

PUBLISHED = Published(
    name="KonIQ-10k",
    origin="KonIQ-10k (University of Konstanz), http://database.mmsp-kn.de/koniq-10k-database.html",
    licence="see the page of KonIQ-10k",
    images=10073,
    references=0,
    lowest=1.09615,
    highest=4.31,
)
TABLE = "koniq10k_scores_and_distributions.csv"
SETS = "koniq10k_distributions_sets.csv"
SPLITS = {"training": "train", "validation": "val", "test": "test"}


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of different photos; the options are those of `photos`."""
    return photos(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    table = need_file(raw, TABLE, f"{Path(TABLE).stem}/{TABLE}", origin=PUBLISHED.origin)
    images = ImageFiles(raw, need_folders(raw, "1024x768", "512x384", origin=PUBLISHED.origin)[:1])
    splits = _splits(raw / SETS) if (raw / SETS).is_file() else {}
    return rate(_rows(table, splits), PUBLISHED, raw, images)


def _rows(table: Path, splits: Mapping[str, str]) -> Iterator[Row]:
    for where, (name, score) in read_csv(table, "image_name", "MOS"):
        yield Row(where, name, "", score, split=splits.get(name, ""))


def _splits(table: Path) -> dict[str, str]:
    found = {}
    for where, (name, split) in read_csv(table, "image_name", "set"):
        if split not in SPLITS:
            raise ValueError(f"{where}: set '{split}' unknown; choose from {', '.join(SPLITS)}")
        found[name] = SPLITS[split]
    return found
