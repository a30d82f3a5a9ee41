"""Severities 1..5, their words, and what a strength in pixels means for images of different sizes."""

from __future__ import annotations

import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)
SEVERITY_WORDS = ("slight", "moderate", "obvious", "serious", "catastrophic")
NOMINAL_SIDE = 512  # px, short side for which the strengths in pixels are written down
MODEL_SIDE = 224  # px, short side to which the model shrinks larger images; it enlarges none


def severity_word(severity: int) -> str:
    """1 -> slight ... 5 -> catastrophic."""
    return SEVERITY_WORDS[severity - 1]


def pixel_scale(image: np.ndarray) -> float:
    """Factor on strengths in pixels (kernel widths, displacements, blocks), which are given for a short side
    of 512 px.

    Images above 224 px are shrunk to that short side before the model sees them, so a kernel has to grow with
    the image to look the same. Images below 224 px are seen pixel by pixel, so there the kernel stays: the
    factor never falls below 224 / 512, which also keeps the severities of a 64-px patch apart.
    """
    return max(min(image.shape[:2]), MODEL_SIDE) / NOMINAL_SIDE
