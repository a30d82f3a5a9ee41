"""A small source for the tests of this folder: seven records of three noise images and two samples each."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.sample import Slot, Task, Truth, Turn

PAIR = RecordSample(Task.COMPARISON, (Slot.A, Slot.B), (Turn("Which?", "Image A — é"),), Truth(better=Slot.A, vote=0.0))
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


@pytest.fixture(scope="session")
def encoder(tokenizer_folder):
    """The real encoder of a tiny model."""
    from transformers import AutoTokenizer

    from depictqa.encode import Encoder
    from depictqa.testing import tiny_config

    config = tiny_config(tokenizer_folder)
    return Encoder(AutoTokenizer.from_pretrained(tokenizer_folder), config.prompt, config.image)


@pytest.fixture
def sources(tmp_path):
    """Shards of all three sources under `tmp_path`: 9 comparisons, 3 descriptions, 4 contents a split."""
    a, pair = (Slot.A,), (Slot.A, Slot.B)
    write_source(tmp_path / "templated", 9, Task.COMPARISON, pair, "Which image is better?", "Image A")
    write_source(tmp_path / "detailed", 3, Task.DESCRIPTION, a, "Assess the image quality.", "Severe noise. " * 3)
    write_source(tmp_path / "external", 4, Task.CONTENT, a, "What is there?", "A red flower stands before leaves.")
    return tmp_path


def write_source(root, records, task, slots, question, answer, splits=("train", "val", "test")):
    """Records of growing pictures and answers, so that lengths differ."""
    for split in splits:
        with ShardWriter(root, split, source=root.name, licence="x", seed=0, records_per_shard=4) as writer:
            for number in range(records):
                sample = RecordSample(task, slots, (Turn(question, answer * (1 + number % 3)),), Truth())
                images = {slot: picture([number, i], (40 + 9 * number, 44)) for i, slot in enumerate(slots)}
                writer.write(Record(f"{number:04d}", images, (sample,), reference=f"{split}{number}"))
