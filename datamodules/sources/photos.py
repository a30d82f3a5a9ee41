"""The photos of the embedded default, which ship inside scikit-image's and scikit-learn's wheels, or a user's own.

Nothing is copied or downloaded: the files are found in the installed packages. Each was looked at; licence and
author are as the package's documentation states them. Left out: scikit-image's `motorcycle_left`, for which no
licence is stated, and its `moon`, `cell`, `page`, `text`, `clock_motion`, which are soft, flat or no photos.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.shards import SPLITS
from depictqa.image import load_image

MAX_SIDE = 800  # px; larger photos are scaled down, which also averages away the traces of their JPEG coding
SUFFIXES = tuple(sorted(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN))


@dataclass(frozen=True)
class Region:
    """A part of a photo: `box` (left, top, right, bottom) in shares of its sides, what is to be seen there.

    `subjects` are noun phrases that hold for any crop with its centre in the box, mirrored or not.
    """

    box: tuple[float, float, float, float]
    texture: str | None
    subjects: tuple[str, ...]

    def holds(self, x: float, y: float) -> bool:
        left, top, right, bottom = self.box
        return left <= x <= right and top <= y <= bottom


@dataclass(frozen=True)
class Photo:
    """A photo and where it comes from. The first region that holds a crop's centre names it.

    `tints` are (dark, light) RGB pairs that turn a grey photo into a plausible coloured one.
    """

    name: str
    file: str
    split: str
    licence: str
    author: str
    regions: tuple[Region, ...]
    tints: tuple[tuple[tuple[int, int, int], tuple[int, int, int]], ...] = ()
    sentences: tuple[str, ...] = ()

    def region(self, x: float, y: float) -> Region:
        return next((region for region in self.regions if region.holds(x, y)), self.regions[-1])


ALL = (0.0, 0.0, 1.0, 1.0)
_SKIMAGE, _SKLEARN = "skimage/data", "sklearn/datasets/images"
_CC0 = "CC0-1.0"
_CC_BY = "CC-BY-2.0"
_PUBLIC = "public domain"

PHOTOS = (
    Photo(
        "astronaut", f"{_SKIMAGE}/astronaut.png", "train", _PUBLIC, "NASA (Great Images)",
        (
            Region((0.30, 0.00, 0.60, 0.38), "Faces", ("the smiling face of a woman with short hair", "a woman's face and hair")),
            Region((0.60, 0.00, 1.00, 0.52), "Objects", ("a model of a space shuttle", "a space shuttle before a bright wall")),
            Region((0.00, 0.00, 0.16, 0.75), "Fabrics", ("a flag with stripes", "the folds of a flag")),
            Region((0.55, 0.65, 1.00, 1.00), "Objects", ("a shiny space helmet", "the visor of a space helmet")),
            Region((0.20, 0.24, 0.60, 0.58), "Objects", ("the collar ring of a space suit", "the neck of a space suit")),
            Region(ALL, "Fabrics", ("the fabric of an astronaut's suit", "a space suit with patches")),
        ),
    ),
    Photo(
        "rocket", f"{_SKIMAGE}/rocket.jpg", "train", _PUBLIC, "SpaceX",
        (
            Region((0.00, 0.75, 1.00, 1.00), "Objects", ("bright lights around a launch pad", "lights shining at dusk")),
            Region((0.40, 0.25, 0.60, 0.80), "Metal", ("a rocket on its launch pad", "a tall rocket at dusk")),
            Region(ALL, "Sky", ("a steel tower before the evening sky", "the sky at dusk behind a lattice tower")),
        ),
    ),
    Photo(
        "hubble", f"{_SKIMAGE}/hubble_deep_field.jpg", "train", _PUBLIC, "NASA, ESA (Hubble eXtreme Deep Field)",
        (Region(ALL, "Sky", ("many small galaxies in dark space", "stars and galaxies", "distant galaxies of many colors")),),
    ),
    Photo(
        "retina", f"{_SKIMAGE}/retina.jpg", "train", _CC0, "Mikael Häggström",
        (Region(ALL, "Tissue", ("the blood vessels of a retina", "a human retina with fine vessels")),),
    ),
    Photo(
        "tissue", f"{_SKIMAGE}/ihc.png", "train", "no known copyright restrictions", "CMMI (Center for Microscopy and "
        "Molecular Imaging)",
        (
            Region((0.45, 0.40, 1.00, 0.62), "Tissue", ("pale tissue with stained cells", "tissue under a microscope")),
            Region(ALL, "Tissue", ("stained glands under a microscope", "tissue under a microscope", "stained cells of a gland")),
        ),
    ),
    Photo(
        "china", f"{_SKLEARN}/china.jpg", "train", _CC_BY, "danielbuechele (flickr.com/photos/danielbuechele)",
        (
            Region((0.12, 0.10, 0.55, 0.88), "Buildings", ("the roofs of a pagoda", "a Chinese tower with painted beams")),
            Region((0.00, 0.60, 1.00, 1.00), "Plants/Foliage", ("dense trees and bushes", "the leaves of many trees")),
            Region((0.85, 0.30, 1.00, 0.60), "Plants/Foliage", ("the branches of a tree by a lake", "a tree above the water")),
            Region((0.50, 0.45, 0.90, 0.62), "Water Surface", ("a calm lake in the haze", "the surface of a wide lake")),
            Region(ALL, "Sky", ("a hazy sky over a lake", "a pale sky")),
        ),
    ),
    Photo(
        "brick", f"{_SKIMAGE}/brick.png", "train", _CC0, "CC0Textures (Bricks25)",
        (Region(ALL, "Stone", ("a brick wall", "rows of bricks", "bricks with bright joints")),),
        tints=(((60, 20, 12), (226, 170, 140)), ((44, 30, 24), (220, 196, 170)), ((70, 44, 20), (240, 214, 160))),
    ),
    Photo(
        "grass", f"{_SKIMAGE}/grass.png", "train", _CC0, "linolafett (DeviantArt)",
        (Region(ALL, "Plants/Foliage", ("blades of grass", "short grass and small leaves", "a lawn seen from above")),),
        tints=(((10, 30, 6), (200, 226, 130)), ((30, 30, 8), (226, 220, 140)), ((8, 34, 20), (180, 230, 170))),
    ),
    Photo(
        "gravel", f"{_SKIMAGE}/gravel.png", "train", _CC0, "CC0Textures (Gravel04)",
        (Region(ALL, "Stone", ("gravel", "many small stones", "crushed stones on the ground")),),
        tints=(((24, 22, 22), (226, 220, 214)), ((36, 24, 14), (230, 206, 176)), ((16, 22, 32), (206, 216, 230))),
    ),
    Photo(
        "coins", f"{_SKIMAGE}/coins.png", "train", "no known copyright restrictions", "Brooklyn Museum",
        (Region(ALL, "Metal", ("ancient coins", "old Greek coins on a dark ground", "worn coins with faces")),),
        tints=(((26, 16, 8), (240, 206, 140)), ((18, 20, 26), (224, 226, 232)), ((40, 18, 10), (238, 182, 130))),
    ),
    Photo(
        "camera", f"{_SKIMAGE}/camera.png", "val", _CC0, "Lav Varshney",
        (
            Region((0.00, 0.10, 0.55, 0.70), "Fabrics", ("a man behind a camera", "a man in a dark coat")),
            Region((0.50, 0.20, 1.00, 0.48), "Buildings", ("buildings behind a lawn", "a camera before distant buildings")),
            Region(ALL, "Plants/Foliage", ("a lawn and the legs of a tripod", "short grass behind a tripod")),
        ),
        tints=(((24, 18, 12), (244, 226, 196)), ((12, 20, 34), (214, 228, 244)), ((16, 28, 14), (220, 236, 196))),
    ),
    Photo(
        "coffee", f"{_SKIMAGE}/coffee.png", "test", _CC0, "Rachel Michetti, Pikolo Espresso Bar",
        (
            Region((0.25, 0.05, 0.72, 0.60), "Objects", ("a cup of espresso", "coffee in a cup")),
            Region((0.10, 0.30, 0.82, 1.00), "Objects", ("a spoon on a saucer", "the saucer of a cup")),
            Region(ALL, "Wood", ("a wooden table", "the grain of a wooden table")),
        ),
    ),
    Photo(
        "chelsea", f"{_SKIMAGE}/chelsea.png", "test", _CC0, "Stefan van der Walt",
        (
            Region((0.20, 0.25, 0.82, 0.60), "Animal Fur", ("the eyes of a cat", "the face of a tabby cat")),
            Region((0.40, 0.60, 0.75, 1.00), "Animal Fur", ("the nose and whiskers of a cat", "the face of a cat")),
            Region(ALL, "Animal Fur", ("the fur of a cat", "the striped fur of a tabby cat")),
        ),
    ),
    Photo(
        "flower", f"{_SKLEARN}/flower.jpg", "test", _CC_BY, "vultilion (flickr.com/photos/vultilion)",
        (
            Region((0.22, 0.15, 0.72, 0.90), "Plants/Foliage", ("the petals of a dahlia", "a flower in full bloom")),
            Region((0.40, 0.80, 0.80, 1.00), "Plants/Foliage", ("the petals of a flower", "flowers before dark leaves")),
            Region(ALL, "Plants/Foliage", ("dark leaves in soft focus", "leaves behind a flower")),
        ),
    ),
)  # fmt: skip
"""The split is by photo: no photo gives crops to two splits."""


def embedded_photos() -> tuple[Photo, ...]:
    """`PHOTOS`, after a look that their files are there. FileNotFoundError names the package to reinstall."""
    for photo in PHOTOS:
        photo_path(photo)
    return PHOTOS


def photo_path(photo: Photo) -> Path:
    """Where the photo's file lies: inside its package, or the user's path."""
    package, _, rest = photo.file.partition("/")
    if package not in ("skimage", "sklearn"):
        return Path(photo.file)
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / rest).is_file():
        name = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
        raise FileNotFoundError(f"{photo.file} is not in this installation; reinstall {name}, or give photos=DIR")
    return folder / rest


def own_photos(folder: Path | str, seed: int) -> tuple[Photo, ...]:
    """The images of a folder, split by photo with a seeded shuffle: 1/8 val, 1/4 test, at least one each.

    `NAME.txt` beside `NAME.jpg` holds sentences on its content, one a line; without it the content is described
    by measured colours and layout alone. ValueError for fewer than three, or two of one stem.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"'{folder}' is no folder; give one with at least 3 images")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    paths = [path for path in files if path.suffix.lower() in SUFFIXES]
    if len(paths) < len(SPLITS):
        raise ValueError(f"'{folder}' holds {len(paths)} images; give at least 3, one for each of {', '.join(SPLITS)}")
    stems = [path.stem for path in paths]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise ValueError(f"'{folder}' holds two images named '{twice}'; rename one, for captions go by name")
    _refuse_unfit_names_and_copies(paths)
    splits = _split(len(paths), seed)
    return tuple(_own_photo(path, split) for path, split in zip(paths, splits, strict=True))


def _refuse_unfit_names_and_copies(paths: Sequence[Path]) -> None:
    """A picture under two names could be trained on and tested on."""
    seen: dict[bytes, Path] = {}
    for path in paths:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"file name {path.name!r} is no UTF-8; rename it") from None
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        if digest in seen:
            raise ValueError(f"'{seen[digest]}' and '{path}' are the same picture; remove one")
        seen[digest] = path


def _own_photo(path: Path, split: str) -> Photo:
    caption = path.with_suffix(".txt")
    lines = caption.read_text(encoding="utf-8", errors="replace").splitlines() if caption.is_file() else []
    sentences = tuple(line.strip() for line in lines if line.strip())
    return Photo(path.stem, str(path), split, "the user's own", "", (Region(ALL, None, ()),), sentences=sentences)


def _split(count: int, seed: int) -> list[str]:
    num_val, num_test = max(1, count // 8), max(1, count // 4)
    splits = ["val"] * num_val + ["test"] * num_test + ["train"] * (count - num_val - num_test)
    return [splits[i] for i in np.random.default_rng([seed, count]).permutation(count)]


@lru_cache(maxsize=64)  # crops are cut from photo after photo; a user's folder may hold more than fit in memory
def load_pixels(photo: Photo) -> np.ndarray:
    """[H, W, 3] uint8 RGB, no side above `MAX_SIDE`."""
    image = load_image(photo_path(photo))
    scale = max(image.size) / MAX_SIDE
    if scale > 1:
        size = [max(1, round(side / scale)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


def licences(photos: Sequence[Photo]) -> str:
    """One line for a manifest: the licences in use, and who is to be named."""
    if all(not photo.author for photo in photos) and len({photo.licence for photo in photos}) == 1:
        return photos[0].licence
    named = [f"{photo.name}: {photo.licence}{', ' + photo.author if photo.author else ''}" for photo in photos]
    return "; ".join(named) if len(named) <= len(PHOTOS) else "the user's own"
