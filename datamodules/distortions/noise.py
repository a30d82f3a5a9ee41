"""Noise: six kinds of random deviation per pixel. Strengths are standard deviations on 0..255 unless said."""

from __future__ import annotations

import cv2
import numpy as np

from datamodules.distortions.severity import pixel_scale

RGB_SIGMA = (9.0, 16.0, 28.0, 48.0, 80.0)
CHROMA_SIGMA = (8.0, 14.0, 24.0, 40.0, 66.0)  # of Cr and Cb; Y gets half
SPECKLE_SIGMA = (0.08, 0.15, 0.27, 0.48, 0.85)  # relative to the pixel's own value
CORRELATED_SIGMA = (5.5, 10.0, 17.0, 29.0, 48.0)
CORRELATION_LENGTH = 2.0  # px at a short side of 512: sigma of the Gaussian that correlates neighbours
PHOTONS_AT_WHITE = (250.0, 80.0, 28.0, 10.0, 3.5)
IMPULSE_SHARE = (0.01, 0.03, 0.08, 0.18, 0.40)  # of the values; half of them 0, half 255

# [Y, Cr, Cb] -> [R, G, B], ITU-R BT.601 full range, as JPEG and OpenCV have it.
YCRCB_TO_RGB = np.array([[1, 1.403, 0], [1, -0.714, -0.344], [1, 0, 1.773]], dtype=np.float32)


def gaussian_noise_rgb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """White normal noise, independent in R, G and B."""
    return _add(image, _normal(image.shape, RGB_SIGMA[severity - 1], rng))


def gaussian_noise_ycrcb(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """White normal noise in YCrCb, chroma twice as strong as luma: coloured specks, as of a small sensor."""
    noise = _normal(image.shape, CHROMA_SIGMA[severity - 1], rng)
    noise[..., 0] *= 0.5
    return _add(image, cv2.transform(noise, YCRCB_TO_RGB))


def speckle(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Multiplicative normal noise: bright areas suffer, black stays black."""
    return cv2.multiply(image, 1 + _normal(image.shape, SPECKLE_SIGMA[severity - 1], rng), dtype=cv2.CV_8U)


def correlated_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Normal noise that neighbours share, as after demosaicking or enlarging: blotches instead of grain.

    White noise is filtered by a Gaussian g (outer product of k with itself) and divided by the norm of g, the
    factor by which the filter lowers its standard deviation, so that the strength is the one stated.
    """
    width = CORRELATION_LENGTH * pixel_scale(image)
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(3 * width)) + 1, width, cv2.CV_32F)
    gain = CORRELATED_SIGMA[severity - 1] / float(np.sum(kernel**2))
    white = _normal(image.shape, gain, rng)
    return _add(image, cv2.sepFilter2D(white, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101))


def poisson_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Shot noise: photon counts at an exposure whose white is `PHOTONS_AT_WHITE`."""
    gain = PHOTONS_AT_WHITE[severity - 1] / 255
    photons = rng.poisson(image * gain)
    return cv2.convertScaleAbs(photons.astype(np.float32), alpha=1 / gain)


def impulse_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Salt and pepper: single values stuck at 0 or 255."""
    half = IMPULSE_SHARE[severity - 1] / 2
    draw = rng.random(image.shape, dtype=np.float32)
    noisy = image.copy()
    noisy[draw < half] = 0
    noisy[draw >= 1 - half] = 255
    return noisy


def _normal(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise *= np.float32(sigma)
    return noise


def _add(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """uint8 + float32, rounded and clipped to 0..255."""
    return cv2.add(image, noise, dtype=cv2.CV_8U)
