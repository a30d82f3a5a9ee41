"""Batches of samples laid end to end: the same samples as padded ones, of lengths that were known before."""

import numpy as np
import pytest
import torch

from datamodules.detailed import DetailedDataModule
from datamodules.external import ExternalDataModule
from datamodules.indexed import IndexedShards
from datamodules.lengths import StreamLengths
from datamodules.mixture import MixtureDataModule
from datamodules.templated import TemplatedDataModule
from depictqa.encode import Encoder, ImageTokens

BUDGET = 448
MODES = [{"packing": "step"}, {"packing": "window"}, {"packing": "window", "pack_length": 320}]


@pytest.fixture
def mix(sources, encoder):
    """A function that makes the mixture: templated x1, detailed x4, external x2."""

    def make(packing="step", **options):
        parts = {
            "templated": TemplatedDataModule(sources / "templated"),
            "detailed": DetailedDataModule(sources / "detailed"),
            "external": ExternalDataModule(sources / "external"),
        }
        given = {"batch_size": 7, "token_budget": BUDGET, "seed": 3, "packing": packing, **options}
        return MixtureDataModule(parts, {"detailed": 4}, encoder, **given)

    return make


def same(batch, other):
    tensors = ("ids", "labels", "weights", "positions", "segments", "image_positions", "image_rows", "bounds")
    return (
        batch.keys == other.keys
        and all(torch.equal(getattr(batch, name), getattr(other, name)) for name in tensors)
        and all(torch.equal(one, two) for one, two in zip(batch.pixels, other.pixels, strict=True))
    )


def all_same(batches, others):
    return len(batches) == len(others) and all(map(same, batches, others))


def expected_keys():
    keys = [f"templated/{n:04d}/0" for n in range(9)]
    return sorted(keys + 4 * [f"detailed/{n:04d}/0" for n in range(3)] + 2 * [f"external/{n:04d}/0" for n in range(4)])


@pytest.mark.parametrize("fixed", [None, 5])
@pytest.mark.parametrize("name", ["templated", "detailed", "external"])
def test_lengths_are_those_of_the_streams_crops_included(sources, encoder, name, fixed):
    encoder = Encoder(encoder.tokenizer, encoder.style, encoder.geometry, ImageTokens(fixed))
    shards = IndexedShards(sources / name, "train")
    lengths = StreamLengths.measure(shards.entries(), encoder)
    assert lengths.whole.tolist() == [len(encoder.encode(sample)) for sample in shards]
    order = np.arange(3 * len(shards)) % len(shards)
    for epoch in (0, 2):
        crops = [np.random.default_rng([7, epoch, position]) for position in range(len(order))]
        found = [len(encoder.encode(shards[sample], rng)) for sample, rng in zip(order.tolist(), crops, strict=True)]
        assert lengths.drawn(7, epoch, order).tolist() == found
        assert (lengths.drawn(7, epoch, order) <= lengths.whole[order]).all()


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_an_epoch_holds_each_sample_as_often_as_it_is_repeated(mix, mode, crop):
    data = mix(**mode, crop=crop)
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert len(batches) == data.steps_per_epoch * data.accumulate
    weighing = [batch for batch in batches if batch.weights.any()]
    assert sorted(key for batch in weighing for key in batch.keys) == expected_keys()
    plan = data.feed.plan
    for number, batch in enumerate(batches):
        assert batch.bounds is not None and batch.ids.shape[0] == 1 and batch.num_tokens <= BUDGET
        if mode["packing"] == "window":
            assert batch.num_tokens == plan.pack_length and batch.longest == int(plan.lengths.max())
        if batch.weights.any():
            drawn = plan.drawn or (lambda epoch, order: plan.lengths[order])
            lengths = drawn(0, plan.prepare(0)[0])[[draw.position for draw in plan.micro_batch(0, number, 0)]]
            assert batch.bounds.diff()[: len(lengths)].tolist() == lengths.tolist()
    totals = torch.tensor([batch.weights.sum() for batch in batches]).view(data.steps_per_epoch, -1).mean(1)
    assert torch.allclose(totals, torch.ones_like(totals)), "a step's weights are those of a mean over its samples"


@pytest.mark.parametrize("mode", MODES)
def test_resumes_at_any_step_whatever_the_workers(mix, mode):
    whole = list(mix(**mode).train_dataloader())
    accumulate = mix(**mode).accumulate
    for step in range(len(whole) // accumulate + 1):
        loader = mix(**mode).train_dataloader()
        iterator = iter(loader)
        for _ in range(step * accumulate):
            next(iterator)
        again = mix(**mode, num_workers=2 if step % 3 == 0 else 0).train_dataloader()
        again.load_state_dict(loader.state_dict())
        assert all_same(list(again), whole[step * accumulate :])
        again.set_epoch(1)
        assert len(list(again)) == len(whole), "the next epoch is whole again"


def test_epochs_differ_and_have_as_many_packs(mix):
    data = mix("window", pack_length=320, epochs=3)
    data.setup("fit")
    loader = data.train_dataloader()
    epochs = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        epochs.append(list(loader))
        keys = [key for batch in epochs[-1] if batch.weights.any() for key in batch.keys]
        assert sorted(keys) == expected_keys()
    assert len({len(batches) for batches in epochs}) == 1
    assert not all_same(epochs[0], epochs[1]) and not all_same(epochs[1], epochs[2])


@pytest.mark.parametrize("mode", MODES)
def test_ranks_take_equally_many_packs_and_every_sample_once(mix, mode):
    keys, counts = [], []
    for rank in range(2):
        data = mix(**mode, batch_size=12)
        data.setup("fit", world_size=2, rank=rank)
        batches = list(data.train_dataloader())
        counts.append(len(batches))
        keys += [key for batch in batches if batch.weights.any() for key in batch.keys]
    assert len(set(counts)) == 1 and sorted(keys) == expected_keys()


def test_state_of_another_packing_is_refused(mix):
    states = [mix(**mode).train_dataloader().state_dict() for mode in MODES]
    for number, state in enumerate(states):
        loader = mix(**MODES[(number + 1) % 3]).train_dataloader()
        with pytest.raises(ValueError, match="data position has (steps_of|pack).*; resume with the same data"):
            loader.load_state_dict(state)
    padded = mix("none").train_dataloader()
    padded.load_state_dict(mix("step").train_dataloader().state_dict())  # its steps have the same samples


def damage(folder, name):
    """Overwrite the pixels of member `name` with zeros; the tar stays as long as it is."""
    for tar in folder.glob("*.tar"):
        data = bytearray(tar.read_bytes())
        place = data.find(name.encode() + b"\0")
        if place >= 0:
            data[place + 512 + 60 : place + 512 + 200] = bytes(140)
            tar.write_bytes(data)


@pytest.mark.parametrize("mode", MODES)
def test_unreadable_samples_leave_the_rest_of_a_pack(mix, sources, mode):
    for number in range(9):
        damage(sources / "templated" / "train", f"{number:04d}.a.png")
    data = mix(**mode, max_skipped=1.0)
    loader = data.train_dataloader()
    batches = list(loader)
    assert loader.skipped == 9 and len(batches) == data.steps_per_epoch * data.accumulate
    keys = [key for batch in batches if batch.weights.any() for key in batch.keys]
    assert sorted(keys) == [key for key in expected_keys() if not key.startswith("templated")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world_size", [1, 2, 20])
def test_held_out_samples_come_once_over_all_ranks(mix, world_size, mode):
    keys = []
    for rank in range(world_size):
        data = mix(**mode, batch_size=20)
        data.setup("validate", world_size=world_size, rank=rank)
        for batch in data.val_dataloader():
            assert batch.bounds is not None and batch.num_tokens <= BUDGET
            keys += batch.keys
    assert sorted(keys) == sorted(sample.key for sample in mix().samples("val"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packing": "full"}, "data.packing 'full' unknown; choose none, step, window"),
        (
            {"packing": "step", "pack_length": 400},
            "data.pack_length is 400, but data.packing is step; set it to window",
        ),
    ],
)
def test_settings_that_make_no_sense_name_the_fix(mix, options, message):
    with pytest.raises(ValueError, match=message):
        mix(**options)
