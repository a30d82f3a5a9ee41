"""A distortion in part of an image, with the mask that says where: ground truth for localisation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datamodules.distortions import distort

AREA = (0.05, 0.40)  # share of the image that all regions together cover
MAX_REGIONS = 3
FEATHER = 0.06  # width of the soft rim, relative to the short side
MIN_FEATHER = 4.0  # px
PLACEMENTS = 20  # tries to keep regions apart
PLACING_SIDE = 96  # px: long side of the grid on which regions are placed; their outlines are smooth


@dataclass(frozen=True)
class LocalDistortion:
    """`image` [H, W, 3] uint8. `mask` [H, W] float32: the share of the distorted image in each pixel, 0 where
    the original is untouched. `num_regions`: connected regions of mask >= 0.5.
    """

    image: np.ndarray
    mask: np.ndarray
    num_regions: int

    @property
    def area(self) -> float:
        """Share of the image within the regions (mask >= 0.5)."""
        return float((self.mask >= 0.5).mean())


def distort_locally(
    image: np.ndarray,
    function: str,
    severity: int,
    rng: np.random.Generator,
    num_regions: int | None = None,
    area: float | None = None,
) -> LocalDistortion:
    """Distort within 1 to 3 feathered regions that cover 5 % to 40 % of the image (drawn if not given).

    The whole image is distorted and blended in by the mask, so that kernels see true neighbours at the rim,
    and image-wide statistics (mean luma, histograms) are those of the whole. Errors as of `distort`.
    """
    distorted = distort(image, function, severity, rng)
    mask = draw_mask(image.shape[:2], rng, num_regions, area)
    weight = cv2.merge([mask, mask, mask])
    blended = cv2.convertScaleAbs(image * (1 - weight) + distorted * weight)
    return LocalDistortion(blended, mask, _count_regions(mask >= 0.5))


def draw_mask(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    num_regions: int | None = None,
    area: float | None = None,
) -> np.ndarray:
    """(H, W) -> [H, W] float32 mask, 0..1, of uneven ellipses with soft rims.

    Each pixel's distance to the nearest ellipse centre, in units of that ellipse, is cut at the quantile
    `area`: so the share of mask >= 0.5 is `area`, whatever the shapes. Placements are redrawn until the regions
    stay apart; where 20 draws do not succeed (large areas), the last one is taken, regions merged.
    """
    num_regions = int(rng.integers(1, MAX_REGIONS + 1)) if num_regions is None else num_regions
    area = float(rng.uniform(*AREA)) if area is None else area
    if not 1 <= num_regions <= MAX_REGIONS:
        raise ValueError(f"num_regions {num_regions} out of range; choose 1 to {MAX_REGIONS}")
    if not 0 < area < 1:
        raise ValueError(f"area {area} out of range; choose a share of the image between 0 and 1")
    height, width = shape[:2]
    shrink = min(1.0, PLACING_SIDE / max(height, width))
    coarse = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    for _ in range(PLACEMENTS):
        distance = _distance_to_regions(coarse, num_regions, rng)
        if _count_regions(distance <= _quantile(distance, area)) == num_regions:
            break
    distance = cv2.resize(distance, (width, height), interpolation=cv2.INTER_CUBIC)
    return _feathered(distance <= _quantile(distance, area), max(MIN_FEATHER, FEATHER * min(height, width)))


def _quantile(values: np.ndarray, share: float) -> float:
    """The smallest value that `share` of the values do not exceed."""
    rank = min(values.size - 1, max(0, round(share * values.size) - 1))
    return np.partition(values.ravel(), rank)[rank]


def _distance_to_regions(shape: tuple[int, ...], num_regions: int, rng: np.random.Generator) -> np.ndarray:
    """[H, W]: distance to the nearest region's centre, in units of that region's ellipse, whose outline
    wavers by two low harmonics of the angle.
    """
    height, width = shape
    y, x = np.ogrid[0:height, 0:width]
    nearest = np.full(shape, np.inf, dtype=np.float32)
    for _ in range(num_regions):
        center_x, center_y = rng.uniform(0.12, 0.88) * width, rng.uniform(0.12, 0.88) * height
        size, elongation, turn = rng.uniform(0.7, 1.3), rng.uniform(0.6, 1.6), rng.uniform(0, np.pi)
        dx, dy = (x - center_x).astype(np.float32), (y - center_y).astype(np.float32)
        along = (dx * np.cos(turn) + dy * np.sin(turn)) / elongation
        across = (dy * np.cos(turn) - dx * np.sin(turn)) * elongation
        angle = np.arctan2(across, along)
        outline = size * (
            1
            + 0.15 * np.cos(2 * angle + rng.uniform(0, 2 * np.pi))
            + 0.10 * np.cos(3 * angle + rng.uniform(0, 2 * np.pi))
        )
        nearest = np.minimum(nearest, np.hypot(along, across) / outline)
    return nearest


def _feathered(inside: np.ndarray, feather: float) -> np.ndarray:
    """Boolean [H, W] -> float32, smoothly from 0 to 1 over `feather` px about the outline, 0.5 on it."""
    within = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    beyond = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Distances count from pixel to pixel; the outline lies halfway between an inner and an outer one.
    signed = np.where(inside, within - 0.5, 0.5 - beyond)
    ramp = np.clip(signed / feather + 0.5, 0, 1)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def _count_regions(inside: np.ndarray) -> int:
    return cv2.connectedComponents(inside.astype(np.uint8))[0] - 1
