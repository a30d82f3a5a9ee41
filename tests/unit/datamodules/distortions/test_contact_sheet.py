"""The contact sheet holds a tile per function and severity, and is written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.distortions import CLASSES, FUNCTIONS, distort
from datamodules.distortions.contact_sheet import FONT_SIZE, LABEL_WIDTH, MARGIN, contact_sheet, write_contact_sheet

TOP = FONT_SIZE + 2 * MARGIN


def test_tiles_are_the_original_and_the_five_severities(photos: list[np.ndarray]) -> None:
    functions = ["gaussian_blur", "impulse_noise"]
    sheet = np.asarray(contact_sheet(photos[0], functions, seed=3, tile_width=192))
    assert sheet.shape == (TOP + 2 * (144 + MARGIN), LABEL_WIDTH + 6 * (192 + MARGIN), 3)
    for row, function in enumerate(functions):
        for column in range(6):
            top, left = TOP + row * (144 + MARGIN), LABEL_WIDTH + column * (192 + MARGIN)
            expected = distort(photos[0], function, column, np.random.default_rng(3)) if column else photos[0]
            assert np.array_equal(sheet[top : top + 144, left : left + 192], expected), (function, column)


def test_without_functions_there_is_a_row_per_class(photos: list[np.ndarray]) -> None:
    sheet = contact_sheet(photos[0], tile_width=32)
    assert sheet.height == TOP + len(CLASSES) * (24 + MARGIN)


def test_crop_shows_the_center_enlarged_without_interpolation(photos: list[np.ndarray]) -> None:
    sheet = np.asarray(contact_sheet(photos[0], ["jpeg"], tile_width=96, crop=48))
    tile = sheet[TOP : TOP + 96, LABEL_WIDTH : LABEL_WIDTH + 96]
    assert np.array_equal(tile[::2, ::2], photos[0][48:96, 72:120])


def test_labels_fit_beside_the_tiles() -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(FONT_SIZE)
    assert max(font.getlength(name) for name in FUNCTIONS) + MARGIN < LABEL_WIDTH


def test_the_file_is_written_whole_or_not_at_all(photos: list[np.ndarray], tmp_path: Path) -> None:
    path = write_contact_sheet(tmp_path / "sheet.png", photos[0], functions=["jpeg"], tile_width=64)
    with Image.open(path) as sheet:
        sheet.load()
        assert sheet.format == "PNG" and sheet.width == LABEL_WIDTH + 6 * (64 + MARGIN)
    assert [entry.name for entry in tmp_path.iterdir()] == ["sheet.png"]
    with pytest.raises(ValueError, match="unknown"):
        write_contact_sheet(tmp_path / "other.png", photos[0], functions=["jpg"])
    assert not (tmp_path / "other.png").exists()
