from __future__ import annotations

import numpy as np
import pytest

from depictqa.baselines.side_by_side import GAP, side_by_side
from depictqa.testing import random_image


def where(picture: np.ndarray, image: np.ndarray) -> tuple[int, int]:
    """(left, top) of an image's pixels in the picture."""
    height, width = image.shape[:2]
    for top in range(picture.shape[0] - height + 1):
        for left in range(picture.shape[1] - width + 1):
            if (picture[top, left] == image[0, 0]).all():
                if np.array_equal(picture[top : top + height, left : left + width], image):
                    return left, top
    raise AssertionError("the image's pixels are not in the picture")


@pytest.mark.parametrize("sizes", [[(120, 90), (120, 90)], [(150, 60), (70, 120), (20, 20)]])
def test_every_pixel_is_there_in_order_below_its_name(sizes: list[tuple[int, int]]) -> None:
    names = ["Reference Image", "Image A", "Image B"][-len(sizes) :]
    images = [random_image(size, seed) for seed, size in enumerate(sizes)]
    picture = np.asarray(side_by_side(dict(zip(names, images, strict=True))))
    places = [where(picture, np.asarray(image)) for image in images]
    tops = {top for _, top in places}
    assert len(tops) == 1
    (top,) = tops
    for (left, _), (following, _), image in zip(places, places[1:], images, strict=False):
        assert following >= left + image.width + GAP
    strip = picture[:top]
    assert strip.min() < 64 and (strip[[0, -1]] == 255).all()  # names that touch neither the edge nor the images
    outside = picture.copy()
    for (left, _), image in zip(places, images, strict=True):
        dark = strip[:, max(left - 40, 0) : left + image.width + 40].min(axis=-1) < 128
        assert dark.any(), "an image without a name"
        outside[top : top + image.height, left : left + image.width] = 255
    assert (outside[top:] == 255).all()


def test_names_tell_the_images_apart() -> None:
    image = random_image((100, 80))
    picture = np.asarray(side_by_side({"Image A": image, "Image B": image}))
    left, right = picture[:, :100], picture[:, 108:]
    assert not np.array_equal(left, right)
    assert np.array_equal(left[-80:], right[-80:])


def test_letters_grow_with_the_images() -> None:
    def strip(side: int) -> int:
        image = random_image((side, side))
        return side_by_side({"Image A": image, "Image B": image}).height - side

    assert strip(64) == strip(128) < strip(512) < strip(1024)


def test_one_image_stays_as_it_is() -> None:
    image = random_image((50, 40))
    assert np.array_equal(np.asarray(side_by_side({"Image": image})), np.asarray(image))
    with pytest.raises(ValueError, match="no image"):
        side_by_side({})
