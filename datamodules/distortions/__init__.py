"""Seeded image distortions: 12 classes, 35 functions, severities 1 (slight) to 5 (catastrophic).

    distorted = distort(image, "motion_blur", severity=3, rng=np.random.default_rng(0))

Every function takes (image, severity, rng), leaves its input alone and draws from `rng` only, so that the
same seed gives the same pixels. `compose` applies two, `local` one within a mask, `contact_sheet` shows all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from datamodules.distortions import blur, compression, noise, quantization, saturation, sharpness, tone
from datamodules.distortions.severity import SEVERITIES, SEVERITY_WORDS, severity_word

__all__ = [
    "CLASSES",
    "CLASS_OF",
    "FUNCTIONS",
    "MIN_SIDE",
    "NEEDS_REFERENCE_WHEN_SLIGHT",
    "SEVERITIES",
    "SEVERITY_WORDS",
    "detectable_without_reference",
    "distort",
    "severity_word",
]

Distortion = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

MIN_SIDE = 32  # px; below it the stronger kernels are larger than the image

_BY_CLASS: dict[str, tuple[Distortion, ...]] = {
    "blur": (
        blur.gaussian_blur,
        blur.motion_blur,
        blur.glass_blur,
        blur.lens_blur,
        blur.zoom_blur,
        blur.jitter,
    ),
    "noise": (
        noise.gaussian_noise_rgb,
        noise.gaussian_noise_ycrcb,
        noise.speckle,
        noise.correlated_noise,
        noise.poisson_noise,
        noise.impulse_noise,
    ),
    "compression": (compression.jpeg, compression.jpeg2000),
    "brighten": (
        tone.brighten_shift_hsv,
        tone.brighten_shift_rgb,
        tone.brighten_gamma_hsv,
        tone.brighten_gamma_rgb,
    ),
    "darken": (tone.darken_shift_hsv, tone.darken_shift_rgb, tone.darken_gamma_hsv, tone.darken_gamma_rgb),
    "contrast_strengthen": (tone.contrast_strengthen_scale, tone.contrast_strengthen_stretch),
    "contrast_weaken": (tone.contrast_weaken_scale, tone.contrast_weaken_stretch),
    "saturate_strengthen": (saturation.saturate_strengthen_hsv, saturation.saturate_strengthen_ycrcb),
    "saturate_weaken": (saturation.saturate_weaken_hsv, saturation.saturate_weaken_ycrcb),
    "oversharpen": (sharpness.oversharpen,),
    "pixelate": (sharpness.pixelate,),
    "quantization": (
        quantization.quantization_otsu,
        quantization.quantization_median,
        quantization.quantization_histogram,
    ),
}

FUNCTIONS: Mapping[str, Distortion] = MappingProxyType(
    {function.__name__: function for functions in _BY_CLASS.values() for function in functions}
)
CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: tuple(function.__name__ for function in functions) for name, functions in _BY_CLASS.items()}
)
CLASS_OF: Mapping[str, str] = MappingProxyType(
    {function: name for name, functions in CLASSES.items() for function in functions}
)

# A slight change of tone, colour or sharpness may as well be the scene or the photographer's choice.
NEEDS_REFERENCE_WHEN_SLIGHT = frozenset(
    {
        "brighten",
        "darken",
        "contrast_strengthen",
        "contrast_weaken",
        "saturate_strengthen",
        "saturate_weaken",
        "quantization",
        "oversharpen",
    }
)


def detectable_without_reference(name: str, severity: int) -> bool:
    """Whether a distortion (class or function) of this severity can be told without seeing the original."""
    return severity > 1 or CLASS_OF.get(name, name) not in NEEDS_REFERENCE_WHEN_SLIGHT


def distort(image: np.ndarray, function: str, severity: int, rng: np.random.Generator) -> np.ndarray:
    """[H, W, 3] uint8 RGB -> the same shape, distorted by the named function. The input is left as it is.

    Raises ValueError for an unknown function, a severity outside 1..5, an image that is not uint8 RGB or
    has a side below 32 px, and for anything but a `numpy.random.Generator` as `rng`.
    """
    if function not in FUNCTIONS:
        raise ValueError(f"distortion {function!r} unknown; choose {', '.join(FUNCTIONS)}")
    if isinstance(severity, bool) or not isinstance(severity, int | np.integer) or severity not in SEVERITIES:
        raise ValueError(f"severity {severity!r} of {function} unknown; choose an integer from 1 to 5")
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"{function} takes a uint8 RGB array [H, W, 3], got {got}; convert the image to RGB")
    if min(image.shape[:2]) < MIN_SIDE:
        height, width = image.shape[:2]
        raise ValueError(f"{function} got an image of {width}x{height} px; give at least {MIN_SIDE} px a side")
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"{function} got {type(rng).__name__} as rng; pass numpy.random.default_rng(seed)")
    distorted = FUNCTIONS[function](np.ascontiguousarray(image), int(severity), rng)
    assert distorted.shape == image.shape and distorted.dtype == np.uint8, function
    return distorted
