"""Files of a raw dataset: paths that stay inside its folder, images that are what their names say."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

MIN_SIDE = 8  # px
MAX_SIDE = 16384  # px

FORMATS = {
    ".png": ("PNG",),
    ".bmp": ("BMP", "DIB"),
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
    ".webp": ("WEBP",),
}
"""Suffix -> what Pillow calls the formats that may stand behind it."""


def need_folder(raw: Path, what: str) -> Path:
    """FileNotFoundError where `raw` is no folder; `what` says which it should be."""
    if not raw.is_dir():
        raise FileNotFoundError(f"'{raw}' is not a folder; give {what} (raw)")
    return raw


def need_file(raw: Path, *names: str, origin: str) -> Path:
    """The first of `names` that is there. FileNotFoundError names them and `origin`, where they are got."""
    for name in names:
        if (raw / name).is_file():
            return raw / name
    raise FileNotFoundError(f"'{raw / names[0]}' is missing; get it from {origin} and put it there (raw)")


def path_inside(root: Path, name: str) -> Path:
    """`root / name`. ValueError where that is not below `root`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"'{name}' leaves the data root; give a path relative to it")
    return root / path


def read_image(root: Path, name: str, min_side: int = MIN_SIDE) -> bytes:
    """The bytes of an image file below `root`, looked at but not decoded.

    FileNotFoundError, or ValueError for a path that leaves the root, a file of another format than its suffix
    says (a JPEG under the name of a PNG has lost what a PNG keeps), and sides outside `min_side`..16384 px.
    """
    path = path_inside(root, name)
    if not path.is_file():
        raise FileNotFoundError(f"image '{path}' not found; put it there")
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, (width, height) = image.format, image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # whose words hold an address: never twice the same
        reason = "not an image that Pillow reads" if unknown else " ".join(str(error).split())
        raise ValueError(f"image '{path}' cannot be read ({reason}); copy it again") from None
    allowed = FORMATS.get(path.suffix.lower())
    if allowed is not None and kind not in allowed:
        raise ValueError(f"image '{path}' holds a {kind}, not what its name says; get the original, or rename it")
    if not min_side <= min(width, height) or max(width, height) > MAX_SIDE:
        raise ValueError(f"image '{path}' has {width}x{height} px; images have {min_side} to {MAX_SIDE} px a side")
    return data
