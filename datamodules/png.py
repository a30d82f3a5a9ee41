"""Images as shards store them: PNG, compressed or not, with a word on whether they are scaled already."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from depictqa.image import SCALED, ImageGeometry, decode_image, load_image

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Encoded = tuple[bytes, tuple[int, int]]  # an image as the bytes of a PNG, and its (width, height)


def encode(image: Image.Image | bytes, bake: ImageGeometry | None, compressed: bool, name: str) -> Encoded:
    """An image, or an image file's bytes, as a PNG of the same pixels, or of those that `bake` scales them to.

    A plain RGB PNG that is neither scaled nor unpacked is kept byte for byte. ValueError, with `name`, where the file
    cannot be decoded.
    """
    opened = decode_image(image, name) if isinstance(image, bytes) else load_image(image)
    size = opened.size if bake is None else bake.resized(opened.size)
    if compressed and isinstance(image, bytes) and size == opened.size and _is_plain_png(image):
        return image, size
    note = {}
    if bake is not None and size != opened.size:
        opened, note = opened.resize(size, Image.Resampling.BICUBIC), {SCALED: bake.limits}
    return _compressed(opened, note) if compressed else _uncompressed(np.asarray(opened), note), size


def _compressed(image: Image.Image, note: dict[str, str]) -> bytes:
    info = PngInfo()
    for key, text in note.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4, pnginfo=info)
    return buffer.getvalue()


def _uncompressed(pixels: np.ndarray, note: dict[str, str]) -> bytes:
    """uint8 [H, W, 3]. Neither compressed nor filtered, which Pillow cannot write: undoing the filters takes twice as
    long as all the rest of reading such a file (`bench/loader.py`)."""
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    chunks += [_chunk(b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1")) for key, text in note.items()]
    chunks += [_chunk(b"IDAT", zlib.compress(rows.tobytes(), 0)), _chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _is_plain_png(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return (
            image.format == "PNG" and image.mode == "RGB" and not image.getexif() and "transparency" not in image.info
        )
