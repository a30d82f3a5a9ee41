"""Shards whose images are scaled, unpacked or both give the batches of shards as they come."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from datamodules.indexed import IndexedShards
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from datamodules.streamed import StreamedDataModule
from datamodules.templated import TemplatedDataModule
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import random_image

SIZES = [(96, 64), (40, 44), (30, 200), (64, 64)]


def write(root, **form):
    for split in ("train", "val"):
        with ShardWriter(root, split, source="made", licence="x", seed=0, records_per_shard=3, **form) as writer:
            for number in range(8):
                sample = RecordSample(Task.COMPARISON, (Slot.A, Slot.B), (Turn("Which?", "Image A"),), Truth())
                images = {slot: random_image(SIZES[(number + i) % 4], 10 * number + i) for i, slot in enumerate(Slot)}
                writer.write(Record(f"{number:04d}", images, (sample,)))
    return root


@pytest.mark.parametrize("crop", [True, False])
def test_batches_are_the_same_to_the_last_bit(tmp_path, encoder, crop):
    forms = {"plain": {}, "loose": {"compressed": False}, "baked": {"bake": encoder.geometry}}
    forms["both"] = forms["loose"] | forms["baked"]
    found = {}
    for name, form in forms.items():
        data = TemplatedDataModule(write(tmp_path / name, **form), encoder, batch_size=4, crop=crop, token_budget=500)
        data.setup("fit")
        found[name] = [*data.train_dataloader(), *data.val_dataloader()]
    for name in ("loose", "baked", "both"):
        assert len(found[name]) == len(found["plain"]) >= 4
        for batch, other in zip(found[name], found["plain"], strict=True):
            assert batch.keys == other.keys and torch.equal(batch.ids, other.ids)
            assert len(batch.pixels) == len(other.pixels)
            assert all(torch.equal(one, two) for one, two in zip(batch.pixels, other.pixels, strict=True))


def test_another_models_shards_are_refused(tmp_path, encoder):
    root = write(tmp_path / "baked", bake=replace(encoder.geometry, short_side=35))
    said = r"scaled to 35/84 px \(short side/long side at most\), this model takes 42/84; build the shards again"
    with pytest.raises(ValueError, match=rf"images of '{root}/train' are {said}"):
        TemplatedDataModule(root, encoder).setup("fit")
    held_out = TemplatedDataModule(write(tmp_path / "plain"), encoder)
    data = StreamedDataModule(str(root / "train/shard-000000.tar"), held_out, encoder, num_samples=4, buffer=2)
    data.setup("fit")
    with pytest.raises(ValueError, match=rf"an image is {said}"):
        list(data.train_dataloader())
    assert len(TemplatedDataModule(root).samples("train")) == 8  # nobody's yet
    IndexedShards(root, "train").check_geometry(replace(encoder.geometry, short_side=35, min_side=14))
