"""Lossy compression, encoded and decoded by Pillow's codecs."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

JPEG_QUALITY = (25, 18, 12, 8, 5)
JPEG2000_PSNR = (29.0, 27.5, 26.0, 24.5, 23.0)  # dB aimed at by the encoder


def jpeg(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """8x8 blocks, chroma at half resolution: block edges, ringing, lost colour."""
    return _recode(image, "JPEG", quality=JPEG_QUALITY[severity - 1], subsampling="4:2:0")


def jpeg2000(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Wavelets at a given PSNR: smeared texture, ripples along edges.

    A decomposition level halves the image; at most five (six resolutions), and never below one pixel.
    """
    resolutions = min(6, int(math.log2(min(image.shape[:2]))) + 1)
    return _recode(
        image,
        "JPEG2000",
        quality_mode="dB",
        quality_layers=[JPEG2000_PSNR[severity - 1]],
        num_resolutions=resolutions,
        irreversible=True,
    )


def _recode(image: np.ndarray, codec: str, **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=codec, **options)
    with Image.open(buffer) as decoded:
        return np.array(decoded.convert("RGB"))
