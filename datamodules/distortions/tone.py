"""Brightness and contrast: curves on pixel values, which run 0..1 here.

"HSV" functions change the value V = max(R, G, B) and keep hue and saturation, that is, they multiply R, G and
B by V'/V; "RGB" functions bend each channel by itself, which also washes out or deepens colours.
"""

from __future__ import annotations

import cv2
import numpy as np

VALUES = np.arange(256, dtype=np.float32) / 255
SHIFT = (0.09, 0.18, 0.30, 0.44, 0.62)
BRIGHTEN_GAMMA = (0.78, 0.61, 0.46, 0.32, 0.20)
DARKEN_GAMMA = (1.30, 1.70, 2.30, 3.30, 5.00)
STRENGTHEN_SCALE = (1.25, 1.6, 2.2, 3.4, 6.0)
WEAKEN_SCALE = (0.78, 0.60, 0.43, 0.28, 0.15)
STRENGTHEN_STRETCH = (1.35, 1.8, 2.6, 4.0, 7.0)
WEAKEN_STRETCH = (0.72, 0.54, 0.38, 0.25, 0.13)
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def brighten_shift_hsv(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """V + shift."""
    return _bend_value(image, VALUES + SHIFT[severity - 1])


def brighten_shift_rgb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """R, G, B + shift."""
    return _bend_channels(image, VALUES + SHIFT[severity - 1])


def brighten_gamma_hsv(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """V ** gamma, gamma < 1."""
    return _bend_value(image, VALUES ** BRIGHTEN_GAMMA[severity - 1])


def brighten_gamma_rgb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """R, G, B ** gamma, gamma < 1."""
    return _bend_channels(image, VALUES ** BRIGHTEN_GAMMA[severity - 1])


def darken_shift_hsv(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """V - shift."""
    return _bend_value(image, VALUES - SHIFT[severity - 1])


def darken_shift_rgb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """R, G, B - shift."""
    return _bend_channels(image, VALUES - SHIFT[severity - 1])


def darken_gamma_hsv(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """V ** gamma, gamma > 1."""
    return _bend_value(image, VALUES ** DARKEN_GAMMA[severity - 1])


def darken_gamma_rgb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """R, G, B ** gamma, gamma > 1."""
    return _bend_channels(image, VALUES ** DARKEN_GAMMA[severity - 1])


def contrast_strengthen_scale(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Distances from the image's mean luma, times a factor > 1."""
    return _scale_contrast(image, STRENGTHEN_SCALE[severity - 1])


def contrast_strengthen_stretch(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """An S curve about the mean luma (`_stretch_contrast`): the middle spreads, the ends crowd."""
    return _stretch_contrast(image, STRENGTHEN_STRETCH[severity - 1])


def contrast_weaken_scale(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Distances from the image's mean luma, times a factor < 1."""
    return _scale_contrast(image, WEAKEN_SCALE[severity - 1])


def contrast_weaken_stretch(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """The S curve's inverse kind (exponent < 1): all but the extremes crowd about the mean luma."""
    return _stretch_contrast(image, WEAKEN_STRETCH[severity - 1])


def _scale_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    mean = _mean_luma(image)
    return _bend_channels(image, mean + factor * (VALUES - mean))


def _stretch_contrast(image: np.ndarray, exponent: float) -> np.ndarray:
    """Contrast stretching 1 / (1 + (m / r)^E) (Gonzalez and Woods, Digital Image Processing, 3.2) on the odds
    v / (1 - v) instead of r, with m the odds of the mean luma and the result again read as odds relative to
    m: so E = 1 changes nothing and the mean stays where it is. Values are taken at the middle of their steps,
    since exactly 0 and 1 would not move.
    """
    middles = (np.arange(256) + 0.5) / 256
    mean = np.clip(_mean_luma(image), 0.02, 0.98)
    pivot = mean / (1 - mean)
    odds = pivot * (middles / (1 - middles) / pivot) ** exponent
    return _bend_channels(image, odds / (1 + odds))


def _mean_luma(image: np.ndarray) -> float:
    """Mean luma of the image, 0..1."""
    return float(np.dot(cv2.mean(image)[:3], LUMA)) / 255


def _bend_channels(image: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Apply a curve (256 values, clipped to 0..1) to each channel."""
    return cv2.LUT(image, np.rint(np.clip(curve, 0, 1) * 255).astype(np.uint8))


def _bend_value(image: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Apply a curve (256 values, clipped to 0..1) to V of HSV; hue and saturation stay. Black has neither
    and becomes the grey of its new value.
    """
    red, green, blue = cv2.split(image)
    value = cv2.max(cv2.max(red, green), blue)
    curve = (np.clip(curve, 0, 1) * 255).astype(np.float32)
    ratio = cv2.LUT(value, curve / np.maximum(np.arange(256, dtype=np.float32), 1))
    bent = cv2.multiply(image, cv2.merge([ratio, ratio, ratio]), dtype=cv2.CV_8U)
    bent[value == 0] = np.rint(curve[0])
    return bent
