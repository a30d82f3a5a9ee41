"""Pristine crops of photos: where they are cut, how far they are scaled down, and how training varies their light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from datamodules.sources.photos import Photo, Region

MAX_SCALE = 3.0
MIN_SCALE = 1.4  # seen pixel by pixel, photos are soft and JPEGs show blocks: no pristine reference
MIN_DETAIL = 5.0  # grey levels; mean gradient below which distortions of structure leave no trace
TRIES = 12

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Crop:
    """`pixels` [S, S, 3] uint8, and the part of the photo that its centre lies in."""

    pixels: np.ndarray
    photo: Photo
    region: Region


@dataclass(frozen=True)
class Jitter:
    """How far training varies a pristine crop: largest relative change of each, drawn evenly to both sides.

    Mild on purpose: beyond this the change itself would be one of the 12 distortions.
    """

    gamma: float = 0.12
    gain: float = 0.06
    hue: float = 15.0  # degrees


class View(Protocol):
    """How a pristine image is taken from a photo's `pixels` [H, W, 3]."""

    def cut(self, photo: Photo, pixels: np.ndarray, rng: np.random.Generator) -> Crop: ...


@dataclass(frozen=True)
class Detail:
    """A small square with some structure in it: `cut` below."""

    size: int
    jitter: Jitter | None = None

    def cut(self, photo: Photo, pixels: np.ndarray, rng: np.random.Generator) -> Crop:
        return cut(photo, pixels, self.size, rng, self.jitter)


@dataclass(frozen=True)
class Frame:
    """A part of `width` x `height` px, or upright for an upright photo: from that size itself to all that fits,
    evenly in log scale, scaled down.
    """

    width: int
    height: int

    def cut(self, photo: Photo, pixels: np.ndarray, rng: np.random.Generator) -> Crop:
        """ValueError for a photo that is smaller: it would have to be enlarged, and be soft."""
        height, width = self.height, self.width
        if pixels.shape[0] > pixels.shape[1]:
            height, width = width, height
        most = min(pixels.shape[0] / height, pixels.shape[1] / width)
        if most < 1:
            raise ValueError(f"photo '{photo.name}' has {pixels.shape[1]}x{pixels.shape[0]} px; give {width}x{height}")
        scale = float(np.exp(rng.uniform(0, np.log(most))))
        rows, columns = min(pixels.shape[0], round(height * scale)), min(pixels.shape[1], round(width * scale))
        top, left = int(rng.integers(pixels.shape[0] - rows + 1)), int(rng.integers(pixels.shape[1] - columns + 1))
        piece = pixels[top : top + rows, left : left + columns]
        if piece.shape[:2] != (height, width):
            piece = cv2.resize(piece, (width, height), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        center = (left + columns / 2) / pixels.shape[1], (top + rows / 2) / pixels.shape[0]
        return Crop(np.ascontiguousarray(piece), photo, photo.region(*center))


def cut(photo: Photo, pixels: np.ndarray, size: int, rng: np.random.Generator, jitter: Jitter | None = None) -> Crop:
    """A random crop of `size` px with some structure in it; `jitter` for training only.

    Where `TRIES` draws find nothing above `MIN_DETAIL`, the one with most detail is taken. A photo smaller than
    the crop is enlarged.
    """
    height, width = pixels.shape[:2]
    best: tuple[float, np.ndarray, Region] | None = None
    for _ in range(TRIES):
        side = _side(min(height, width), size, rng)
        left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        piece = _resize(pixels[top : top + side, left : left + side], size)
        region = photo.region((left + side / 2) / width, (top + side / 2) / height)
        amount = detail(piece)
        if best is None or amount > best[0]:
            best = (amount, piece, region)
        if amount >= MIN_DETAIL:
            break
    assert best is not None
    piece, region = best[1], best[2]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    if photo.tints:
        piece = _tint(piece, *photo.tints[int(rng.integers(len(photo.tints)))])
    if jitter is not None:
        piece = _jitter(piece, jitter, rng)
    return Crop(np.ascontiguousarray(piece), photo, region)


def detail(pixels: np.ndarray) -> float:
    """Mean absolute difference of neighbouring pixels' luma, in grey levels."""
    luma = pixels.astype(np.float32) @ _LUMA
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean()) / 2


def _side(shorter: int, size: int, rng: np.random.Generator) -> int:
    """Side of the square to cut, in pixels of the photo: 1.4 to 3 times the crop, evenly in log scale."""
    high = min(MAX_SCALE, shorter / size)
    low = min(MIN_SCALE, high)
    return min(shorter, max(1, round(size * float(np.exp(rng.uniform(np.log(low), np.log(high)))))))


def _resize(piece: np.ndarray, size: int) -> np.ndarray:
    if piece.shape[0] == size:
        return piece
    shrinks = piece.shape[0] > size
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _tint(pixels: np.ndarray, dark: tuple[int, int, int], light: tuple[int, int, int]) -> np.ndarray:
    """Grey to the colours between `dark` and `light`."""
    share = (pixels.astype(np.float32) @ _LUMA)[..., None] / 255
    low, high = np.array(dark, np.float32), np.array(light, np.float32)
    return np.rint(low + share * (high - low)).clip(0, 255).astype(np.uint8)


def _jitter(pixels: np.ndarray, jitter: Jitter, rng: np.random.Generator) -> np.ndarray:
    gamma = np.exp(rng.uniform(-1, 1) * np.log1p(jitter.gamma))
    gains = 1 + rng.uniform(-1, 1, 3) * jitter.gain
    turned = pixels.astype(np.float32) / 255 @ _hue_rotation(rng.uniform(-1, 1) * jitter.hue)
    lit = np.power(turned.clip(0, 1), gamma) * gains
    return np.rint(lit.clip(0, 1) * 255).astype(np.uint8)


def _hue_rotation(degrees: float) -> np.ndarray:
    """[3, 3], to be applied from the right: rotation about the grey axis, which keeps grey as it is (Rodrigues)."""
    angle = np.deg2rad(degrees)
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    matrix = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    return matrix.T.astype(np.float32)
