"""The resize, crop and padding rule, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from depictqa.image import ImageGeometry, center_crop, decode_image, load_image

GEOMETRY = ImageGeometry()
SIDES = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((256, 256), (16, 16)),
        ((64, 64), (5, 5)),
        ((1920, 1080), (16, 29)),
        ((260, 240), (16, 18)),
        ((500, 230), (16, 35)),
    ],
)
def test_published_grids(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert GEOMETRY.grid(size) == grid


@given(width=SIDES, height=SIDES)
def test_grid_bounds(width: int, height: int) -> None:
    resized = GEOMETRY.resized((width, height))
    assert resized[0] <= width and resized[1] <= height
    assert min(resized) <= 224 and max(resized) <= 672
    rows, columns = GEOMETRY.grid((width, height))
    assert rows * 14 >= 70 and columns * 14 >= 70 and rows * 14 - resized[1] < 70


@settings(max_examples=20, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), seed=st.integers(0, 5))
def test_prepared_image_has_the_planned_grid(width: int, height: int, seed: int) -> None:
    image = Image.fromarray(np.full((height, width, 3), 9, dtype=np.uint8))
    prepared = GEOMETRY.prepare(image)
    rows, columns = GEOMETRY.grid((width, height))
    assert prepared.shape == (rows * 14, columns * 14, 3) and prepared.dtype == np.uint8
    cropped = GEOMETRY.prepare(image, np.random.default_rng(seed))
    assert cropped.shape[0] <= prepared.shape[0] and cropped.shape[1] <= prepared.shape[1]
    assert cropped.shape[0] % 14 == cropped.shape[1] % 14 == 0


def test_padding_is_black_and_an_odd_pixel_goes_right_and_below() -> None:
    padded = center_crop(np.full((2, 3, 3), 200, dtype=np.uint8), (6, 5))
    rows, columns = np.nonzero(padded[..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 2, 1, 3)
    assert padded.sum() == 2 * 3 * 3 * 200


def test_crop_agrees_with_torchvision() -> None:
    import torch
    from torchvision.transforms.functional import center_crop as reference

    pixels = np.random.default_rng(0).integers(0, 256, (37, 52, 3), dtype=np.uint8)
    for height, width in [(20, 20), (37, 70), (51, 33), (60, 61), (36, 51)]:
        ours = center_crop(pixels, (width, height))
        theirs = reference(torch.from_numpy(pixels).permute(2, 0, 1), [height, width]).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    source = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    if mode == "I;16":
        source = Image.fromarray(np.asarray(source).astype(np.uint16) * 257)
    else:
        source = source.convert(mode)
    rgb = load_image(source)
    assert rgb.mode == "RGB" and rgb.size == (8, 8)
    if mode in ("I;16", "I", "F"):
        assert abs(np.asarray(rgb)[..., 0].astype(int) - np.arange(64).reshape(8, 8) * 4).max() <= 1


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (20, 30)


def test_refusals_are_one_line_and_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.png").write_text("not an image")
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-400])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    cases = [
        ("absent.png", FileNotFoundError, "not found"),
        ("", ValueError, "folder"),
        ("text.png", ValueError, "cannot be decoded"),
        ("whole.png", ValueError, "pixels"),
    ]
    for name, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            load_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="record 7"):
        decode_image((tmp_path / "cut.png").read_bytes(), "record 7")


def test_float_images_of_0_to_1_are_as_bright_as_those_of_0_to_255():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    assert load_image(Image.fromarray(values)).tobytes() == load_image(Image.fromarray(values * 255)).tobytes()
