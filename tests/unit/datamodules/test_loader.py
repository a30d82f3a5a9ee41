import logging
import pickle

import numpy as np
import pytest
import torch

from datamodules.detailed import DetailedDataModule
from datamodules.external import ExternalDataModule
from datamodules.mixture import MixtureDataModule
from datamodules.plan import Plan
from datamodules.templated import TemplatedDataModule

BUDGET = 400


@pytest.fixture
def mix(sources, encoder):
    """A function that makes the mixture: templated x1, detailed x4, external x2."""

    def make(**options):
        parts = {
            "templated": TemplatedDataModule(sources / "templated"),
            "detailed": DetailedDataModule(sources / "detailed"),
            "external": ExternalDataModule(sources / "external"),
        }
        given = {"batch_size": 7, "token_budget": BUDGET, "seed": 3, **options}
        return MixtureDataModule(parts, {"detailed": 4}, encoder, **given)

    return make


def same(batch, other):
    """Whether all that two batches hold is equal, bit by bit."""
    tensors = ("ids", "labels", "weights", "positions", "segments", "image_positions", "image_rows")
    return (
        batch.keys == other.keys
        and all(torch.equal(getattr(batch, name), getattr(other, name)) for name in tensors)
        and len(batch.pixels) == len(other.pixels)
        and all(torch.equal(one, two) for one, two in zip(batch.pixels, other.pixels, strict=True))
    )


def all_same(batches, others):
    return len(batches) == len(others) and all(map(same, batches, others))


def test_an_epoch_holds_each_sample_as_often_as_it_is_repeated(mix):
    data = mix()
    data.setup("fit")
    loader = data.train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == data.steps_per_epoch * data.accumulate
    keys = [key for batch in batches for key in batch.keys]
    expected = [f"templated/{n:04d}/0" for n in range(9)]
    expected += 4 * [f"detailed/{n:04d}/0" for n in range(3)] + 2 * [f"external/{n:04d}/0" for n in range(4)]
    assert sorted(keys) == sorted(expected)
    assert data.accumulate > 1 and all(batch.num_tokens <= BUDGET for batch in batches)
    totals = torch.tensor([batch.weights.sum() for batch in batches]).view(data.steps_per_epoch, -1).mean(1)
    assert torch.allclose(totals, torch.ones_like(totals)), "a step's weights are those of a mean over its samples"


def test_lengths_of_the_plan_bound_the_batches(mix, encoder):
    for crop in (False, True):
        data = mix(crop=crop)
        data.setup("fit")
        plan, loader = data.feed.plan, data.train_dataloader()
        for number, batch in enumerate(loader):
            planned = [int(plan.lengths[draw.sample]) for draw in plan.micro_batch(0, number, 0)]
            widths = (batch.segments > 0).sum(1).tolist()
            assert widths == planned if not crop else all(np.less_equal(widths, planned))


def test_workers_change_nothing(mix):
    none, two = mix(), mix(num_workers=2)
    for epoch in (0, 1):
        loaders = [data.train_dataloader() for data in (none, two)]
        for loader in loaders:
            loader.set_epoch(epoch)
        first, second = map(list, loaders)
        assert all_same(first, second)
    assert not all_same(first, list(none.train_dataloader())), "epochs differ in order and crops"


def test_crops_are_of_the_draw_alone(mix):
    cropped = {key: batch for batch in mix().train_dataloader() for key in batch.keys}
    whole = list(mix(crop=False).train_dataloader())
    assert cropped.keys() == {key for batch in whole for key in batch.keys}
    assert sum(p.numel() for b in whole for p in b.pixels) > sum(
        p.numel() for b in mix().train_dataloader() for p in b.pixels
    )


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_same_steps(mix, world_size):
    one = mix()
    one.setup("fit")
    steps = [set() for _ in range(one.steps_per_epoch)]
    for number, batch in enumerate(one.train_dataloader()):
        steps[number // one.accumulate].update(batch.keys)
    shared = [set() for _ in steps]
    counts = []
    for rank in range(world_size):
        many = mix()
        many.setup("fit", world_size=world_size, rank=rank)
        batches = list(many.train_dataloader())
        counts.append(len(batches))
        for number, batch in enumerate(batches):
            shared[number // many.accumulate].update(batch.keys)
    assert shared == steps and len(set(counts)) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_resumes_at_any_step_with_exactly_what_is_left(mix, workers):
    whole = list(mix().train_dataloader())
    accumulate = mix().accumulate
    for number in range(len(whole) + 1):
        loader = mix(num_workers=workers).train_dataloader()
        iterator = iter(loader)
        for _ in range(number):
            next(iterator)
        state = loader.state_dict()
        step = number // accumulate
        assert (state["epoch"], state["step"]) == (0, step)
        again = mix(num_workers=2 - workers if step % 3 == 0 else 0).train_dataloader()
        again.load_state_dict(state)
        assert len(again) == len(whole), "its length is an epoch's, wherever it goes on"
        assert all_same(list(again), whole[step * accumulate :]), "a step that was under way is made again"
        again.set_epoch(1)
        assert len(list(again)) == len(whole), "the next epoch is whole again"


def test_state_goes_through_a_weights_only_checkpoint(mix, tmp_path):
    loader = mix().train_dataloader()
    next(iter(loader))
    torch.save(loader.state_dict(), tmp_path / "state.pt")
    mix().train_dataloader().load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def test_state_of_other_data_is_refused(mix):
    state = mix().train_dataloader().state_dict()
    for other in ({"seed": 4}, {"batch_size": 5}):
        with pytest.raises(ValueError, match="data position has .*; resume with the same data, batch size"):
            mix(**other).train_dataloader().load_state_dict(state)


def test_a_state_is_of_all_ranks(mix, sources):
    """Two ranks' counts of unreadable samples are one in the end, and again in as many shares as there are ranks."""
    damage(sources / "templated" / "train", "0003.b.png")
    state = {**mix().train_dataloader().state_dict(), "skipped": 5}
    skipped = []
    for rank in range(3):
        data = mix()
        data.setup("fit", world_size=3, rank=rank)
        loader = data.train_dataloader()
        loader.load_state_dict(state)
        skipped.append(loader.skipped)
    assert skipped == [2, 2, 1]


def test_iterating_leaves_torchs_random_numbers_alone(mix):
    state = torch.get_rng_state()
    list(mix(num_workers=1).train_dataloader())
    list(mix().val_dataloader())
    assert torch.equal(torch.get_rng_state(), state)


def damage(folder, name):
    """Overwrite the pixels of member `name` with zeros; the tar stays as long as it is."""
    for tar in folder.glob("*.tar"):
        data = bytearray(tar.read_bytes())
        place = data.find(name.encode() + b"\0")
        if place >= 0:
            data[place + 512 + 60 : place + 512 + 200] = bytes(140)
            tar.write_bytes(data)


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_sample_is_named_counted_and_left_out(mix, sources, caplog, workers):
    damage(sources / "templated" / "train", "0003.b.png")
    data = mix(max_skipped=0.1, num_workers=workers)
    loader = data.train_dataloader()
    with caplog.at_level(logging.WARNING):
        keys = [key for batch in loader for key in batch.keys if batch.weights.any()]
    assert "templated/0003/0" not in keys and len(keys) == len(set(keys)) + 13
    assert loader.skipped == 1 and loader.state_dict()["skipped"] == 1
    assert "shard-000000.tar" in caplog.text and "0003.b" in caplog.text


def test_too_many_unreadable_samples_end_the_run(mix, sources):
    damage(sources / "templated" / "train", "0003.b.png")
    with pytest.raises(ValueError, match=r"1 samples could not be read, over data.max_skipped=0.01; mend .*0003\.b"):
        list(mix().train_dataloader())


def test_micro_batch_of_unreadable_samples_alone_weighs_nothing(mix, sources):
    for number in range(9):
        damage(sources / "templated" / "train", f"{number:04d}.a.png")
    data = mix(max_skipped=1.0, token_budget=210)
    batches = list(data.train_dataloader())
    assert len(batches) == data.steps_per_epoch * data.accumulate
    weightless = [batch for batch in batches if not batch.weights.any()]
    assert weightless and all(torch.isfinite(batch.weights).all() and batch.num_samples == 1 for batch in weightless)
    assert all(pixels.max() == 0 for batch in weightless for pixels in batch.pixels)


@pytest.mark.parametrize("world_size", [1, 2, 5, 20])
def test_held_out_samples_come_once_over_all_ranks(mix, world_size):
    keys, counts = [], []
    for rank in range(world_size):
        data = mix()
        data.setup("validate", world_size=world_size, rank=rank)
        batches = list(data.val_dataloader())
        counts.append(len(batches))
        keys += [key for batch in batches for key in batch.keys]
        assert all(batch.num_tokens <= BUDGET for batch in batches)
        for batch in batches:
            assert torch.isclose(batch.weights.sum(), torch.tensor(1.0))
    assert sorted(keys) == sorted(sample.key for sample in mix().samples("val"))
    assert max(counts) - min(counts) <= (world_size == 20), "equally many batches where there are enough samples"


def test_loader_hands_out_what_the_plan_says(mix):
    data = mix()
    data.setup("fit")
    plan = data.feed.plan
    assert isinstance(plan, Plan)
    samples = data.samples("train")
    for number, batch in enumerate(data.train_dataloader()):
        assert batch.keys == [samples.entry(draw.sample).key for draw in plan.micro_batch(0, number, 0)]


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_held_out_sample_is_one_line(mix, sources, workers):
    damage(sources / "templated" / "val", "0003.b.png")
    with pytest.raises(ValueError, match=r"held-out samples must all be readable: .*tar: image '0003\.b") as error:
        list(mix(num_workers=workers).val_dataloader())
    assert "\n" not in str(error.value)


def test_batches_can_be_sent_to_spawned_workers(mix):
    data = mix()
    data.setup("fit")
    batches = data.train_dataloader().batches
    assert same(pickle.loads(pickle.dumps(batches))[(0, 1)][0], batches[(0, 1)][0])
