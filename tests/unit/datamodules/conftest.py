"""A small source for the tests of this folder: seven records of three noise images and two samples each."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.sample import Slot, Task, Truth, Turn

PAIR = RecordSample(
    Task.COMPARISON, (Slot.A, Slot.B), (Turn("Which?", "Image A — é"),), Truth(better=Slot.A, vote=0.0)
)
WITH_REFERENCE = RecordSample(
    Task.COMPARISON, (Slot.REFERENCE, Slot.A, Slot.B), PAIR.dialogue, Truth(better=Slot.A, vote=0.0)
)


def picture(seed, size=(20, 14)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def record(number):
    images = {slot: picture([number, i]) for i, slot in enumerate(Slot)}
    return Record(f"{number:04d}", images, (WITH_REFERENCE, PAIR), reference=f"photo{number}")


def write(root, split="train", numbers=range(7), records_per_shard=3, **options):
    given = {"source": "made", "licence": "CC0-1.0", "seed": 5, **options}
    with ShardWriter(root, split, records_per_shard=records_per_shard, **given) as writer:
        for number in numbers:
            writer.write(record(number))
    return root / split


@pytest.fixture
def made():
    """`picture`, `record` and `write` above, and the sample without a reference."""
    return SimpleNamespace(picture=picture, record=record, write=write, pair=PAIR)
