"""Saturation: colours driven from grey or towards it, at the value (HSV) or luma (YCrCb) that they have."""

from __future__ import annotations

import cv2
import numpy as np

from datamodules.distortions.tone import LUMA

STRENGTHEN_HSV = (1.4, 1.9, 2.7, 4.2, 8.0)
STRENGTHEN_YCRCB = (1.4, 1.9, 2.7, 4.2, 8.0)
WEAKEN = (0.74, 0.54, 0.34, 0.16, 0.0)


def saturate_strengthen_hsv(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """S of HSV times a factor > 1, clipped at full saturation."""
    return _scale_hsv(image, STRENGTHEN_HSV[severity - 1])


def saturate_strengthen_ycrcb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Cr and Cb times a factor > 1; colours outside the RGB cube are clipped to it."""
    return _scale_ycrcb(image, STRENGTHEN_YCRCB[severity - 1])


def saturate_weaken_hsv(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """S of HSV times a factor < 1: colours pale towards their brightest channel."""
    return _scale_hsv(image, WEAKEN[severity - 1])


def saturate_weaken_ycrcb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Cr and Cb times a factor < 1: colours fade to the grey of their luma."""
    return _scale_ycrcb(image, WEAKEN[severity - 1])


def _scale_hsv(image: np.ndarray, factor: float) -> np.ndarray:
    """With V = max and S = (V - min) / V, scaling S at fixed V and hue scales each channel's distance from V:
    c' = V - f (V - c), where f <= V / (V - min) keeps S <= 1. Exact, unlike a round trip through 8-bit HSV.
    """
    red, green, blue = cv2.split(image)
    value = cv2.max(cv2.max(red, green), blue)
    distance = cv2.merge([cv2.subtract(value, channel) for channel in (red, green, blue)])
    furthest = cv2.subtract(value, cv2.min(cv2.min(red, green), blue)).astype(np.float32)
    scale = np.minimum(np.float32(factor), value / np.maximum(furthest, 1))
    distance = cv2.multiply(distance, cv2.merge([scale, scale, scale]), dtype=cv2.CV_8U)
    return cv2.subtract(cv2.merge([value, value, value]), distance)


def _scale_ycrcb(image: np.ndarray, factor: float) -> np.ndarray:
    """Cr ~ R - Y and Cb ~ B - Y, so scaling both is c' = Y + f (c - Y) in each channel: one 3x3 matrix."""
    matrix = factor * np.eye(3, dtype=np.float32) + (1 - factor) * np.tile(LUMA, (3, 1))
    return cv2.transform(image, matrix)
