"""Quantization: too few tones or colours, seen as bands and flat patches."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

OTSU_LEVELS = (10, 7, 5, 3, 2)
MEDIAN_COLORS = (48, 24, 12, 6, 3)
HISTOGRAM_LEVELS = (10, 7, 5, 3, 2)


def quantization_otsu(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Each channel to few levels, divided where the variance between the levels is largest."""
    levels = OTSU_LEVELS[severity - 1]
    return _replace_by_means(image, lambda histogram: otsu_classes(histogram, levels))


def quantization_median(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """A palette of few colours by median cut, without dithering."""
    colors = MEDIAN_COLORS[severity - 1]
    palette = Image.fromarray(image).quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.array(palette.convert("RGB"))


def quantization_histogram(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Each channel to few levels that hold equally many pixels."""
    levels = HISTOGRAM_LEVELS[severity - 1]
    return _replace_by_means(image, lambda histogram: _equal_classes(histogram, levels))


def otsu_classes(histogram: np.ndarray, levels: int) -> np.ndarray:
    """[256] pixel counts -> [256] class of each value, 0..levels-1: Otsu's criterion for several thresholds.

    A class [i, j] of weight P and first moment M adds M^2 / P to the between-class variance. The best split
    of 0..j into k classes is the best, over i, of 0..i-1 into k - 1 plus the class [i, j]: exact by dynamic
    programming in levels x 256^2 steps. (scikit-image's `threshold_multiotsu` tries all tuples of thresholds,
    which is out of reach for ten levels.)
    """
    values = np.arange(256)
    weight = np.concatenate([[0.0], np.cumsum(histogram, dtype=np.float64)])
    moment = np.concatenate([[0.0], np.cumsum(histogram * values, dtype=np.float64)])
    class_weight = weight[1:, None] - weight[None, :-1]  # [j, i]
    class_moment = moment[1:, None] - moment[None, :-1]
    gain = np.where(class_weight > 0, class_moment**2 / np.maximum(class_weight, 1), 0.0)
    gain[np.triu_indices(256, 1)] = -np.inf  # j < i: no class
    best = gain[:, 0]
    starts = np.zeros((levels, 256), dtype=np.int64)
    for level in range(1, levels):
        candidates = np.concatenate([[-np.inf], best[:-1]]) + gain
        starts[level] = candidates.argmax(axis=1)
        best = candidates.max(axis=1)
    classes = np.zeros(256, dtype=np.int64)
    last = 255
    for level in range(levels - 1, 0, -1):
        first = starts[level, last]
        classes[first : last + 1] = level
        last = first - 1
    return classes


def _equal_classes(histogram: np.ndarray, levels: int) -> np.ndarray:
    """[256] pixel counts -> [256] class of each value, by the rank of the value's middle pixel."""
    middle = (np.cumsum(histogram) - histogram / 2) / histogram.sum()
    return np.minimum((middle * levels).astype(np.int64), levels - 1)


def _replace_by_means(image: np.ndarray, classify) -> np.ndarray:
    """Replace the values of each channel by the mean of their class."""
    tables = []
    for channel in cv2.split(image):
        histogram = np.bincount(channel.ravel(), minlength=256)
        classes = classify(histogram)
        weight = np.bincount(classes, histogram)
        mean = np.bincount(classes, histogram * np.arange(256)) / np.maximum(weight, 1)
        tables.append(np.rint(mean[classes]).astype(np.uint8))
    return cv2.LUT(image, np.stack(tables, axis=-1)[None])
