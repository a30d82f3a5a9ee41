"""Items on disk, and forms that are filled in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depictqa.testing import random_image

PAIR = {"reference": "r.png", "a": "a.png", "b": "b.png"}


@pytest.fixture
def raw(tmp_path) -> Path:
    """A pair with a reference, a single image with one and a single image without."""
    for seed, name in enumerate(("r", "a", "b")):
        random_image((40, 30), seed).save(tmp_path / f"{name}.png")
    path = tmp_path / "items.jsonl"
    images = (PAIR, {"reference": "r.png", "a": "a.png"}, {"a": "b.png"})
    path.write_text("".join(json.dumps({"key": str(n), "images": one}) + "\n" for n, one in enumerate(images)))
    return path
