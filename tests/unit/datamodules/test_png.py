"""Stored images: the same pixels whatever their form, and a word on whether they are scaled."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from datamodules import png
from depictqa.image import SCALED, ImageGeometry, decode_image
from depictqa.testing import random_image

GEOMETRY = ImageGeometry(patch=7, short_side=28, long_side=70, min_side=14)


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (33, 21), (200, 30), (20, 20)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_are_the_same_in_every_form(size, kind, compressed):
    data = saved(random_image(size, seed=3), kind)
    stored, stated = png.encode(data, None, compressed, "x")
    assert stated == size
    assert np.array_equal(decode_image(stored, "x"), decode_image(data, "x"))
    baked, stated = png.encode(data, GEOMETRY, compressed, "x")
    image = decode_image(baked, "x")
    assert image.size == stated == GEOMETRY.resized(size)
    assert (SCALED in image.info) == (image.size != size)
    whole = decode_image(data, "x")
    for seed in (None, 7):  # without and with the crop of training
        crops = [seed if seed is None else np.random.default_rng(seed) for _ in range(2)]
        assert np.array_equal(GEOMETRY.prepare(image, crops[0]), GEOMETRY.prepare(whole, crops[1]))


def test_only_a_plain_png_is_kept_as_it_is():
    image = random_image((30, 20))
    data = saved(image, "PNG")
    assert png.encode(data, None, True, "x")[0] == data
    stored = png.encode(data, None, False, "x")[0]
    assert len(data) < 30 * 20 * 3 < len(stored) < 30 * 20 * 3 + 200
    assert png.encode(saved(image.convert("P"), "PNG"), None, True, "x")[0][:8] == png.SIGNATURE


def test_an_image_scaled_for_another_model_is_refused():
    for compressed in (True, False):
        baked = decode_image(png.encode(random_image((64, 64)), GEOMETRY, compressed, "x")[0], "x")
        with pytest.raises(ValueError, match=r"an image is scaled to 28/70 px .*, this model takes 42/84; build"):
            ImageGeometry(patch=7, short_side=42, long_side=84, min_side=14).prepare(baked)
