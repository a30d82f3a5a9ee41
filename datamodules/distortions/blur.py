"""Blur: six ways in which the light of one point spreads over its neighbours.

All lengths are pixels at a short side of 512, scaled by `pixel_scale`. Borders are mirrored, so that no dark
rim tells the distortion.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from datamodules.distortions.severity import pixel_scale

GAUSSIAN_SIGMA = (1.2, 2.0, 3.2, 5.0, 8.0)
MOTION_LENGTH = (6.0, 11.0, 18.0, 28.0, 44.0)
GLASS_REACH = (1.2, 2.1, 3.6, 6.0, 10.0)  # displacement
GLASS_SOFTENING = 0.5  # sigma before and after, relative to the reach
MIN_SOFTENING = 0.5  # px of the image: less leaves grain, which is jitter
LENS_RADIUS = (2.2, 3.7, 5.8, 9.0, 14.0)
ZOOM_RANGE = (0.022, 0.045, 0.085, 0.16, 0.30)  # largest magnification - 1: needs no scaling
JITTER_REACH = (1.1, 2.3, 4.4, 8.0, 14.0)


def gaussian_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """An isotropic normal kernel."""
    return _gaussian(image, GAUSSIAN_SIGMA[severity - 1] * pixel_scale(image))


def motion_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """A straight, even movement of the camera in a random direction while the shutter is open."""
    length = MOTION_LENGTH[severity - 1] * pixel_scale(image)
    angle = rng.uniform(0.0, math.pi)
    x, y = _kernel_grid(length / 2)
    along = np.abs(x * math.cos(angle) + y * math.sin(angle))
    across = np.abs(y * math.cos(angle) - x * math.sin(angle))
    return _filter(image, np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1))


def glass_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Frosted glass: softened, each pixel taken from a random neighbour, softened again."""
    reach = GLASS_REACH[severity - 1] * pixel_scale(image)
    sigma = max(MIN_SOFTENING, GLASS_SOFTENING * reach)
    return _gaussian(_displace(_gaussian(image, sigma), reach, rng), sigma)


def lens_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Out of focus: a point becomes an evenly lit disc, the image of the aperture."""
    radius = LENS_RADIUS[severity - 1] * pixel_scale(image)
    x, y = _kernel_grid(radius)
    return _filter(image, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


def zoom_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """The mean of 2^n magnifications about the centre, evenly spaced in log scale: zooming while exposing.

    Built by doubling: averaging an image with its magnification by z, then that with its own by z^2, z^4 ...
    gives 2^n copies for n warps; n is the smallest that leaves at most a pixel between copies in the corners.
    """
    height, width = image.shape[:2]
    zoom = 1 + ZOOM_RANGE[severity - 1]
    doublings = max(1, math.ceil(math.log2(1 + (zoom - 1) * math.hypot(height, width) / 2)))
    step = math.log(zoom) / (2**doublings - 1)
    blurred: np.ndarray = image.astype(np.float32)
    for doubling in range(doublings):
        warp = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, math.exp(step * 2**doubling))
        magnified = cv2.warpAffine(blurred, warp, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        blurred = cv2.addWeighted(blurred, 0.5, magnified, 0.5, 0)
    return cv2.convertScaleAbs(blurred)


def jitter(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Each pixel taken from a random place nearby: grain at the edges, flat areas stay as they are."""
    return _displace(image, JITTER_REACH[severity - 1] * pixel_scale(image), rng)


def _gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


def _kernel_grid(reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Open grids (x, y) of the odd square kernel that holds `reach` pixels and an antialiased rim."""
    half = math.ceil(reach + 0.5)
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    return x, y


def _filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    kernel = (kernel / kernel.sum()).astype(np.float32)
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def _displace(image: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Sample each pixel from a place drawn evenly from the square of half side `reach` about it."""
    height, width = image.shape[:2]
    offsets = rng.random((2, height, width), dtype=np.float32) * np.float32(2 * reach) - np.float32(reach)
    x = offsets[0] + np.arange(width, dtype=np.float32)
    y = offsets[1] + np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
