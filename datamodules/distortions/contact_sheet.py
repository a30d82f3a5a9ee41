"""One picture of all distortions: a row per class or function, a column per severity, the original first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datamodules.distortions import CLASSES, SEVERITIES, distort, severity_word

BACKGROUND = (24, 24, 24)
INK = (235, 235, 235)
MARGIN = 6  # px between tiles
FONT_SIZE = 15
LABEL_WIDTH = 225  # px, holds the longest function name


def contact_sheet(
    photo: np.ndarray,
    functions: Sequence[str] | None = None,
    seed: int = 0,
    tile_width: int = 256,
    crop: int | None = None,
) -> Image.Image:
    """[H, W, 3] uint8 RGB -> a sheet: a row per function, columns original, slight ... catastrophic.

    Without `functions` it shows the first of each class. The photo is distorted at its own size; each tile is
    then brought to `tile_width` px (shrunk by area, enlarged without interpolation). `crop` shows only the
    central square of that many pixels, so that grain and blocks survive the shrinking.
    """
    rows = list(functions or (members[0] for members in CLASSES.values()))
    columns = ["original", *(f"{severity} {severity_word(severity)}" for severity in SEVERITIES)]
    shape = _tile(photo, tile_width, crop).size
    step = (shape[0] + MARGIN, shape[1] + MARGIN)
    top = FONT_SIZE + 2 * MARGIN
    sheet = Image.new("RGB", (LABEL_WIDTH + step[0] * len(columns), top + step[1] * len(rows)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE)
    for column, name in enumerate(columns):
        draw.text((LABEL_WIDTH + step[0] * column, MARGIN), name, INK, font)
    for row, function in enumerate(rows):
        y = top + step[1] * row
        draw.text((MARGIN, y + MARGIN), function, INK, font)
        sheet.paste(_tile(photo, tile_width, crop), (LABEL_WIDTH, y))
        for column, severity in enumerate(SEVERITIES, start=1):
            distorted = distort(photo, function, severity, np.random.default_rng(seed))
            sheet.paste(_tile(distorted, tile_width, crop), (LABEL_WIDTH + step[0] * column, y))
    return sheet


def write_contact_sheet(path: str | os.PathLike[str], photo: np.ndarray, **options) -> Path:
    """Write `contact_sheet(photo, **options)` as a PNG; the file appears under its name only when whole."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    contact_sheet(photo, **options).save(partial, format="PNG")
    os.replace(partial, path)
    return path


def _tile(image: np.ndarray, width: int, crop: int | None) -> Image.Image:
    if crop is not None:
        top, left = (max(0, (side - crop) // 2) for side in image.shape[:2])
        image = image[top : top + crop, left : left + crop]
    size = (width, max(1, round(width * image.shape[0] / image.shape[1])))
    shrinks = image.shape[1] > width
    return Image.fromarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST))
