"""Training with references alone, or without; what is held out stays whole."""

from __future__ import annotations

import pytest

from datamodules.external import ExternalDataModule
from datamodules.mixture import MixtureDataModule
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from datamodules.templated import TemplatedDataModule
from depictqa.sample import Slot, Task, Truth, Turn


@pytest.fixture
def both(made, sources):
    """Beside the other sources: three pairs with, and without, their reference."""
    turns = (Turn("Which image is better?", "Image A"),)
    samples = [RecordSample(Task.COMPARISON, slots, turns, Truth()) for slots in (tuple(Slot), (Slot.A, Slot.B))]
    for split in ("train", "val"):
        with ShardWriter(sources / "both", split, source="both", licence="x", seed=0, records_per_shard=2) as writer:
            for number in range(3):
                images = {slot: made.picture([number, place], (40, 44)) for place, slot in enumerate(Slot)}
                writer.write(Record(f"{number}", images, tuple(samples), reference=f"{split}{number}"))
    return sources


def drawn(data):
    data.setup("fit")
    keys = [key for batch in data.train_dataloader() for key in batch.keys]
    samples = data.samples("train")
    return keys, [sample.full_reference for sample in samples if sample.task is not Task.CONTENT]


@pytest.mark.parametrize(("kind", "count"), [("all", 6), ("with", 3), ("without", 3)])
def test_one_kind_is_trained_on_and_both_are_held_out(both, encoder, kind, count):
    data = TemplatedDataModule(both / "both", encoder, batch_size=3, references=kind)
    keys, has_reference = drawn(data)
    assert len(keys) == len(set(keys)) == len(has_reference) == count
    assert set(has_reference) == {"all": {True, False}, "with": {True}, "without": {False}}[kind]
    assert set(keys) == {sample.key for sample in data.samples("train")}
    assert len(data.samples("val")) == sum(batch.num_samples for batch in data.val_dataloader()) == 6


def test_content_stays_either_way(both, encoder):
    parts = {"templated": TemplatedDataModule(both / "both"), "external": ExternalDataModule(both / "external")}
    keys, has_reference = drawn(MixtureDataModule(parts, None, encoder, batch_size=7, references="with"))
    assert sorted(key.split("/")[0] for key in keys) == ["external"] * 8 + ["templated"] * 3
    assert has_reference == [True] * 3


def test_what_is_not_there_is_said(sources, encoder):
    with pytest.raises(ValueError, match="templated/train' has no sample with a reference; say data.references=all"):
        TemplatedDataModule(sources / "templated", encoder, references="with").setup("fit")
    with pytest.raises(ValueError, match="data.references 'full' unknown; choose all, with, without"):
        TemplatedDataModule(sources / "templated", encoder, references="full")
