"""LIVE-MD: 15 references, blur with JPEG and blur with noise, difference mean opinion scores of 0 to 100

`Part 1/` (blurjpeg) and `Part 2/` (blurnoise) each hold `Imagelists.mat` (distimgs), `Scores.mat` (DMOSscores) and a
folder of images and references. 0 is best. The parts are two studies: the 45 images that are in both differ by 3.7 on
average and by up to 15 in the published scores, so pairs are of one part.
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
    name="LIVE-MD",
    origin=(
        "LIVE-MD (LIVE Multiply Distorted Image Quality Database), "
        "https://live.ece.utexas.edu/research/Quality/live_multidistortedimage.html"
    ),
    licence="copyright The University of Texas at Austin; free to use with its copyright notice and citations",
    images=450,
    references=15,
    lowest=0.61111,
    highest=84.6667,
    higher_is_better=False,
)
FOLDERS = {"1": "blurjpeg", "2": "blurnoise"}


def parts(raw: Path, seed: int, **options: Any) -> list[Part]:
    """Pairs of one reference; the options are those of `same_reference`."""
    return same_reference(raw, read(raw), PUBLISHED, seed, **options)


def read(raw: Path) -> Ratings:
    base = raw / "To_Release" if (raw / "To_Release").is_dir() else raw
    folders: list[Path] = []
    rows: list[Row] = []
    for part, name in FOLDERS.items():
        (place, *_) = need_folders(base, f"Part {part}", f"Part_{part}", f"Part{part}", origin=PUBLISHED.origin)
        folders += need_folders(place, name, origin=PUBLISHED.origin)
        rows += _rows(place, name)
    images = ImageFiles(raw, folders, depth=2)
    return rate(rows, PUBLISHED, raw, images, images)


def _rows(place: Path, folder: str) -> list[Row]:
    (files,) = read_mat(need_file(place, "Imagelists.mat", origin=PUBLISHED.origin), "distimgs")
    (scores,) = read_mat(table := need_file(place, "Scores.mat", origin=PUBLISHED.origin), "DMOSscores")
    if len(files) != len(scores):
        raise ValueError(f"'{table}' has {len(scores)} scores of {len(files)} images; get the originals")
    return [
        Row(f"'{table}' entry {number}", f"{folder}/{file}", f"{folder}/{file.split('_')[0]}.bmp", score, study=folder)
        for number, (file, score) in enumerate(zip(files, scores, strict=True), 1)
    ]
