"""Crops: of the size asked for, the same for the same seed, with structure in them, varied mildly in training."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.sources.crops import MAX_SCALE, MIN_DETAIL, Jitter, _hue_rotation, cut, detail
from datamodules.sources.photos import ALL, PHOTOS, Photo, Region, load_pixels

PLAIN = Photo("plain", "", "train", "", "", (Region((0.0, 0.0, 0.5, 1.0), None, ("left",)), Region(ALL, None, ())))


def textured(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
@pytest.mark.parametrize("size", [32, 48, 224])
def test_crop_has_the_size_asked_for_and_some_structure(photo: Photo, size: int) -> None:
    pixels = load_pixels(photo)
    for seed in range(3):
        crop = cut(photo, pixels, size, np.random.default_rng(seed))
        assert crop.pixels.shape == (size, size, 3) and crop.pixels.dtype == np.uint8
        assert crop.pixels.flags.c_contiguous
        assert crop.photo is photo and crop.region in photo.regions
        assert detail(crop.pixels) > 1.0


def test_same_seed_same_crop() -> None:
    photo = PHOTOS[0]
    before = load_pixels(photo).copy()
    first, again, other = (
        cut(photo, load_pixels(photo), 48, np.random.default_rng(seed), Jitter()) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.pixels, again.pixels) and first.region is again.region
    assert not np.array_equal(first.pixels, other.pixels)
    assert np.array_equal(load_pixels(photo), before)


def test_photos_smaller_than_the_crop_are_enlarged() -> None:
    crop = cut(PLAIN, textured(20, 33), 48, np.random.default_rng(0))
    assert crop.pixels.shape == (48, 48, 3)


def test_flat_parts_are_avoided() -> None:
    pixels = np.full((200, 400, 3), 128, np.uint8)
    pixels[:, 300:] = textured(200, 100)
    crops = [cut(PLAIN, pixels, 32, np.random.default_rng(seed)) for seed in range(20)]
    assert all(detail(crop.pixels) >= MIN_DETAIL for crop in crops)


def test_flat_photos_still_give_a_crop() -> None:
    crop = cut(PLAIN, np.full((100, 100, 3), 77, np.uint8), 32, np.random.default_rng(0))
    assert np.all(crop.pixels == 77)


def test_region_is_that_of_the_center() -> None:
    """A photo whose columns tell where they are: the crop's middle says in which half it was cut."""
    pixels = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    regions = set()
    for seed in range(30):
        crop = cut(PLAIN, pixels, 32, np.random.default_rng(seed))
        center = float(crop.pixels.mean())
        if abs(center - 127.5) > 2:
            assert (crop.region is PLAIN.regions[0]) == (center < 127.5)
        regions.add(crop.region)
    assert len(regions) == 2


def test_crops_are_scaled_down_up_to_three_times_and_mirrored_half_the_time() -> None:
    """Red is a ramp of one level per pixel: its steps in a crop are the crop's scale, their sign its side. Green
    has structure, so that the first draw is taken.
    """
    pixels = np.zeros((250, 250, 3), np.uint8)
    pixels[..., 0] = np.arange(250)
    pixels[..., 1] = textured(50, 50)[..., 0].repeat(5, axis=0).repeat(5, axis=1)
    steps = []
    for seed in range(200):
        row = cut(PLAIN, pixels, 64, np.random.default_rng(seed)).pixels[0, :, 0].astype(float)
        steps.append((row[-1] - row[0]) / 63)
    scales = np.abs(steps)
    assert 1.35 <= scales.min() < 1.6 and 2.7 < scales.max() <= MAX_SCALE + 0.05
    assert abs(np.mean(np.array(steps) > 0) - 0.5) < 0.12


def test_tints_lie_between_their_two_colors() -> None:
    gray = textured(100, 100)[..., :1].repeat(3, axis=2)
    dark, light = (60, 20, 12), (226, 170, 140)
    photo = Photo("gray", "", "train", "", "", (Region(ALL, None, ()),), tints=((dark, light),))
    pixels = cut(photo, gray, 32, np.random.default_rng(0)).pixels
    assert np.all(pixels >= dark) and np.all(pixels <= light)
    assert np.ptp(pixels.astype(int), axis=2).min() > 20


def test_training_varies_light_and_hue_mildly() -> None:
    pixels = load_pixels(PHOTOS[0])
    changes = []
    for seed in range(20):
        plain, varied = (cut(PHOTOS[0], pixels, 48, np.random.default_rng(seed), jitter) for jitter in (None, Jitter()))
        changes.append(np.abs(plain.pixels.astype(int) - varied.pixels).mean())
    assert 1 < np.mean(changes) and max(changes) < 25


def test_hue_rotation_keeps_gray_and_turns_colors() -> None:
    matrix = _hue_rotation(120.0)
    assert np.allclose(np.full(3, 0.4) @ matrix, 0.4, atol=1e-6)
    assert np.allclose(np.array([1.0, 0, 0]) @ matrix, [0, 1, 0], atol=1e-6)
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
