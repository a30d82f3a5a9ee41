"""Four photos of scikit-image, small, for all tests of this folder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    """[144, 192, 3] uint8 RGB each."""
    names = ("astronaut", "coffee", "chelsea", "rocket")
    return [cv2.resize(getattr(skimage.data, name)(), (192, 144), interpolation=cv2.INTER_AREA) for name in names]
