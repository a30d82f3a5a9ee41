"""Local distortions: the mask is the truth about where the image changed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datamodules.distortions import FUNCTIONS, distort
from datamodules.distortions.local import AREA, MAX_REGIONS, distort_locally, draw_mask


def regions(mask: np.ndarray) -> int:
    return cv2.connectedComponents((mask >= 0.5).astype(np.uint8))[0] - 1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_pixels_change_within_the_mask_alone(function: str, photos: list[np.ndarray]) -> None:
    photo = photos[0]
    before = photo.copy()
    found = distort_locally(photo, function, 4, np.random.default_rng(3))
    whole = distort(photo, function, 4, np.random.default_rng(3))  # draws first, as `distort_locally` does
    assert found.image.dtype == np.uint8 and found.image.shape == photo.shape
    assert np.array_equal(photo, before)
    assert np.array_equal(found.image[found.mask == 0], photo[found.mask == 0])
    assert np.array_equal(found.image[found.mask == 1], whole[found.mask == 1])
    assert np.any(found.image != photo, axis=2)[found.mask >= 0.5].mean() > 0.4  # impulses hit 1 - 0.82^3 = 45 %


def test_the_rim_blends_the_two_images(photos: list[np.ndarray]) -> None:
    photo = photos[1]
    found = distort_locally(photo, "brighten_shift_rgb", 5, np.random.default_rng(0))
    whole = distort(photo, "brighten_shift_rgb", 5, np.random.default_rng(0))
    rim = (found.mask > 0) & (found.mask < 1)
    assert rim.any()
    low, high = np.minimum(photo, whole)[rim], np.maximum(photo, whole)[rim]
    assert np.all((found.image[rim] >= low) & (found.image[rim] <= high))
    expected = photo[rim] + found.mask[rim][:, None] * (whole[rim].astype(float) - photo[rim])
    assert np.abs(found.image[rim] - expected).max() <= 0.51


@pytest.mark.parametrize("shape", [(144, 192), (33, 47), (32, 32), (301, 120)])
@pytest.mark.parametrize("area", [0.05, 0.2, 0.4])
def test_mask_covers_the_area_asked_for(shape: tuple[int, int], area: float) -> None:
    for seed in range(5):
        mask = draw_mask(shape, np.random.default_rng(seed), area=area)
        assert mask.shape == shape and mask.dtype == np.float32
        assert 0 <= mask.min() and mask.max() <= 1
        assert (mask >= 0.5).mean() == pytest.approx(area, abs=0.01)


def test_drawn_masks_keep_to_the_bounds(photos: list[np.ndarray]) -> None:
    for seed in range(20):
        found = distort_locally(photos[2], "gaussian_blur", 3, np.random.default_rng(seed))
        assert AREA[0] - 0.01 <= found.area <= AREA[1] + 0.01
        assert found.num_regions == regions(found.mask) and 1 <= found.num_regions <= MAX_REGIONS


@pytest.mark.parametrize("num_regions", [1, 2, 3])
def test_small_regions_stay_apart(num_regions: int) -> None:
    counts = [
        regions(draw_mask((144, 192), np.random.default_rng(seed), num_regions=num_regions, area=0.1))
        for seed in range(10)
    ]
    assert np.mean(np.array(counts) == num_regions) >= 0.9, counts


def test_same_seed_same_mask_and_image(photos: list[np.ndarray]) -> None:
    first, again = (distort_locally(photos[0], "glass_blur", 3, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.mask, again.mask)
    other = distort_locally(photos[0], "glass_blur", 3, np.random.default_rng(10))
    assert not np.array_equal(first.mask, other.mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_regions": 4}, "num_regions 4 out of range; choose 1 to 3"),
        ({"num_regions": 0}, "num_regions 0 out of range"),
        ({"area": 1.0}, "area 1.0 out of range; choose a share of the image between 0 and 1"),
        ({"severity": 6}, "severity 6 of jpeg unknown"),
    ],
)
def test_wrong_options_are_errors_of_one_line(photos: list[np.ndarray], options: dict, message: str) -> None:
    given = {"function": "jpeg", "severity": 2, "rng": np.random.default_rng(0)} | options
    with pytest.raises(ValueError) as error:
        distort_locally(photos[0], **given)
    assert message in str(error.value) and "\n" not in str(error.value)
