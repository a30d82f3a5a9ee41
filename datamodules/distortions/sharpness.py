"""Oversharpening and pixelation: false detail at edges, and detail lost to large pixels."""

from __future__ import annotations

import cv2
import numpy as np

from datamodules.distortions.severity import pixel_scale

SHARPEN_AMOUNT = (0.7, 1.5, 3.0, 6.0, 12.0)
SHARPEN_SIGMA = 2.0  # px at a short side of 512
BLOCK_SIDE = (3.0, 4.6, 7.0, 11.0, 18.0)  # px at a short side of 512


def oversharpen(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Unsharp masking, image + amount x (image - blurred): halos along edges, grain in texture."""
    amount = SHARPEN_AMOUNT[severity - 1]
    exact = image.astype(np.float32)
    blurred = cv2.GaussianBlur(exact, (0, 0), SHARPEN_SIGMA * pixel_scale(image))
    return cv2.addWeighted(exact, 1 + amount, blurred, -amount, 0, dtype=cv2.CV_8U)


def pixelate(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Shrunk by area averaging, enlarged again without interpolation: blocks of one colour."""
    height, width = image.shape[:2]
    block = BLOCK_SIDE[severity - 1] * pixel_scale(image)
    small = (max(1, round(width / block)), max(1, round(height / block)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
