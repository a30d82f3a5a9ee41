"""Images on their way in: decoding, the resize, crop and padding rule, and the grid of patches that follows from it."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

SCALED = "depictqa.scaled"
"""Where an image's `info` tells the limits of the geometry that it was scaled by already (a PNG keeps it as text)."""


@dataclass
class ImageGeometry:
    """How an image becomes whole patches (FACTS section 2); all lengths are pixels.

    Scaled down, never up, until the short side is `short_side`, or further until the long side is `long_side`;
    padded with black about the centre to at least `min_side` and up to whole patches. In training the scaled image
    is cropped about its centre first, each side by its own random ratio in `crop_min`..1.
    """

    patch: int = 14
    short_side: int = 224
    long_side: int = 672
    min_side: int = 70
    crop_min: float = 0.7
    crop_min_side: int = 70

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of a source -> (width, height) after scaling."""
        width, height = size
        short, long = min(size), max(size)
        if short <= self.short_side and long <= self.long_side:
            return width, height
        if self.short_side * long <= self.long_side * short:
            goal, side = self.short_side, short
        else:
            goal, side = self.long_side, long
        return max(1, round(width * goal / side)), max(1, round(height * goal / side))

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) -> (width, height) of whole patches, at least `min_side`."""
        return tuple(int(count) * self.patch for count in self.patches(np.asarray(size)))  # type: ignore[return-value]

    def patches(self, sides: np.ndarray) -> np.ndarray:
        """Pixels of scaled images' sides, of any shape -> patches along them, padding included."""
        return -(-np.maximum(sides, self.min_side) // self.patch)

    def cropped(self, sides: np.ndarray, ratios: np.ndarray) -> np.ndarray:
        """Pixels of scaled images' sides, of any shape -> after the random crop of training by these `ratios`."""
        return np.maximum((sides * ratios).astype(np.int64), self.crop_min_side)

    @property
    def limits(self) -> str:
        return f"{self.short_side}/{self.long_side}"

    def check_scaled(self, limits: str | None, name: str) -> None:
        """ValueError where an image was scaled by another geometry, to `limits`, before it came here."""
        if limits not in (None, self.limits):
            raise ValueError(
                f"{name} scaled to {limits} px (short side/long side at most), this model takes {self.limits}; "
                "build the shards again for this model, or with baked=false"
            )

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of a source -> (rows, columns) of patches without the random crop."""
        width, height = self.padded(self.resized(size))
        return height // self.patch, width // self.patch

    def prepare(self, image: Image.Image, rng: np.random.Generator | None = None) -> np.ndarray:
        """RGB image -> uint8 [H, W, 3] of whole patches. With `rng`, the random crop of training.

        ValueError where the image was scaled for another geometry.
        """
        self.check_scaled(image.info.get(SCALED), "an image is")
        size = self.resized(image.size)
        if size != image.size:
            image = image.resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(image, dtype=np.uint8)
        if rng is not None:
            ratios = rng.uniform(self.crop_min, 1.0, size=2)
            width, height = self.cropped(np.asarray(size), ratios).tolist()
            pixels = center_crop(pixels, (width, height))
        height, width = pixels.shape[:2]
        return center_crop(pixels, self.padded((width, height)))


def center_crop(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[h, w, 3] -> [H, W, 3] for `size` = (W, H), about the centre: zeros where too small, cut where too large.

    The rounding is that of torchvision's `center_crop`: an odd pixel of padding goes right and below.
    """
    width, height = size
    pad_h, pad_w = max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0)
    if pad_h or pad_w:
        before_after = ((pad_h // 2, (pad_h + 1) // 2), (pad_w // 2, (pad_w + 1) // 2), (0, 0))
        pixels = np.pad(pixels, before_after)
    top = round((pixels.shape[0] - height) / 2)
    left = round((pixels.shape[1] - width) / 2)
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def load_image(source: str | os.PathLike[str] | BinaryIO | Image.Image) -> Image.Image:
    """An upright RGB image from a path, an open file or an image.

    FileNotFoundError where there is none, ValueError where it cannot be decoded or is larger than
    `PIL.Image.MAX_IMAGE_PIXELS` (refused before decoding).
    """
    if isinstance(source, Image.Image):
        return _upright_rgb(source, "image")
    name = str(getattr(source, "name", source)) if hasattr(source, "read") else os.fspath(source)  # type: ignore[arg-type]
    if not hasattr(source, "read"):
        if not os.path.exists(name):
            raise FileNotFoundError(f"image '{name}' not found; check the path")
        if os.path.isdir(name):
            raise ValueError(f"image '{name}' is a folder; name a file")
    return _decode(source, name)


def decode_image(data: bytes, name: str) -> Image.Image:
    """An upright RGB image from its file's bytes; errors carry `name`."""
    return _decode(io.BytesIO(data), name)


def _decode(source: object, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:  # type: ignore[arg-type]
                return _upright_rgb(image, name)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = Image.MAX_IMAGE_PIXELS
        raise ValueError(f"image '{name}' has more than {limit} pixels; scale it down first") from error
    except PermissionError as error:
        raise ValueError(f"image '{name}' may not be read; change its permissions") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        reason = "not an image that Pillow reads" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"image '{name}' cannot be decoded: {reason}; give a whole image file") from error


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS
    if limit and image.width * image.height > limit:
        raise ValueError(f"image '{name}' has {image.width * image.height} pixels, over {limit}; scale it down first")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I;16", "I;16B", "I;16L", "I", "F"):  # 16 bits a channel: Pillow's own conversion clips at 255
        values = np.asarray(upright, dtype=np.float64)
        top = values.max(initial=0)
        scale = 257.0 if top > 255 else 1 / 255 if upright.mode == "F" and top <= 1 else 1.0  # floats run to 1 or 255
        upright = Image.fromarray(np.clip(values / scale, 0, 255).round().astype(np.uint8))
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
    return rgb.copy() if rgb is image else rgb
