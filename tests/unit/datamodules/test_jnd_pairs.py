"""BAPPS' just-noticeable differences as questions."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.jnd_pairs import JndPairs, subset_of
from datamodules.sources.bapps import read_jnd
from depictqa.sample import Slot
from depictqa.testing import random_image


def write(base):
    for number, subset in enumerate(("traditional", "cnn")):
        for member, seed in (("p0", number), ("p1", number + 10)):
            (base / subset / member).mkdir(parents=True)
            random_image((96, 96), seed).save(base / subset / member / "000000.png")
        (base / subset / "same").mkdir()
        np.save(base / subset / "same" / "000000.npy", np.array([number / 3], dtype=np.float32))


@pytest.mark.parametrize("inside", ["jnd/val", "val"])
def test_pairs_are_opened_late_at_their_side(tmp_path, inside):
    write(tmp_path / inside)
    pairs = JndPairs(read_jnd(tmp_path), side=64)
    assert len(pairs) == 2 and [pairs.entry(n).key for n in range(2)] == ["traditional/000000", "cnn/000000"]
    sample = pairs[1]
    assert (sample.truth.same, sample.truth.num_votes) == (0.3333, 3) and subset_of(sample.key) == "cnn"
    assert {slot: image.size for slot, image in sample.images.items()} == {Slot.A: (64, 64), Slot.B: (64, 64)}
    assert JndPairs(read_jnd(tmp_path), side=None)[0].images[Slot.A].size == (96, 96)
    (tmp_path / inside / "cnn/p1/000000.png").write_bytes(b"no image")
    assert pairs.entry(1).truth == sample.truth
    with pytest.raises(ValueError, match="cnn/p1/000000.png' cannot be read"):
        pairs[1]
    with pytest.raises(ValueError, match="subset 'deblur' unknown; choose from traditional, cnn"):
        read_jnd(tmp_path, ["deblur"])
