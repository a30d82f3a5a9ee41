"""The order of the data is a function of (seed, epoch, step) alone: ranks, workers and kills have no part in it."""

import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.feed import Feed, Source
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.sample import Slot, Task, Truth, Turn

SIZES = (1, 4, 9, 14)
EPOCHS = 2


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A source of each size, with images and texts of many lengths."""
    root = tmp_path_factory.mktemp("order")
    rng = np.random.default_rng(0)
    for size in SIZES:
        with ShardWriter(root / str(size), "train", source="made", licence="x", seed=0, records_per_shard=3) as writer:
            for number in range(size):
                image = Image.fromarray(rng.integers(0, 256, (30, int(rng.integers(30, 90)), 3), dtype=np.uint8))
                turns = (Turn("What is there?", "A red flower. " * int(rng.integers(1, 5))),)
                sample = RecordSample(Task.CONTENT, (Slot.A,), turns, Truth())
                writer.write(Record(f"{number:04d}", {Slot.A: image}, (sample,), reference=f"{size}-{number}"))
    return root


@dataclass(frozen=True)
class Life:
    """What one process group lives through: it makes `steps` optimizer steps and `more` micro-batches, and of its
    steps `lost` were not yet in a checkpoint when it was killed."""

    ranks: int
    workers: int
    steps: int
    more: int
    lost: int


def lives(workers):
    life = st.builds(
        Life, st.integers(1, 3), st.sampled_from(workers), st.integers(0, 7), st.integers(0, 2), st.integers(0, 2)
    )
    return st.lists(life, min_size=1, max_size=4)


RECIPES = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from(SIZES), min_size=1, max_size=3, unique=True),
        "repeats": st.lists(st.integers(1, 3), min_size=3, max_size=3),
        "options": st.fixed_dictionaries(
            {
                "batch_size": st.integers(3, 9),
                "token_budget": st.integers(150, 400),
                "seed": st.integers(0, 99),
                "packing": st.sampled_from(["none", "step", "window"]),
                "crop": st.booleans(),
            }
        ),
    }
)


def ranks_of(shards, encoder, recipe, ranks, workers):
    """A feed for each rank; of as many ranks as there is work for."""
    sources = [
        Source(str(size), shards / str(size), frozenset({Task.CONTENT}), repeat)
        for size, repeat in zip(recipe["names"], recipe["repeats"], strict=False)
    ]
    feeds = [Feed(sources, encoder, epochs=EPOCHS, num_workers=workers, **recipe["options"]) for _ in range(ranks)]
    try:
        for rank, feed in enumerate(feeds):
            feed.setup("fit", None, ranks, rank)
    except ValueError as error:
        if "ranks but only" not in str(error):
            raise
        return ranks_of(shards, encoder, recipe, ranks - 1, workers)
    return feeds


def steps_from(feeds, state=None):
    """(what each optimizer step held over all ranks, the state after it), from a state on to the end of the run."""
    accumulate = feeds[0].plan.accumulate
    loaders = [feed.train_loader() for feed in feeds]
    first = 0
    if state is not None:
        for loader in loaders:
            loader.load_state_dict(state)
        first = state["epoch"]
    for epoch in range(first, EPOCHS):
        for loader in loaders:
            loader.set_epoch(epoch)
        parts = []
        for batches in zip(*loaders, strict=True):  # micro-batch by micro-batch, all ranks at once
            parts += [batch for batch in batches if batch.weights.any()]
            yield None if loaders[0].step % accumulate else (held(epoch, parts), loaders[0].state_dict())
            if not loaders[0].step % accumulate:
                parts = []


def held(epoch, batches):
    """Keys of the samples of a step, and sums of its images, which tell crops apart."""
    keys = sorted(key for batch in batches for key in batch.keys)
    images = {zlib.crc32(image.numpy().tobytes()) for batch in batches for group in batch.pixels for image in group}
    return epoch, keys, images


def whole_run(shards, encoder, recipe):
    return [step[0] for step in steps_from(ranks_of(shards, encoder, recipe, 1, 0)) if step]


def broken_run(shards, encoder, recipe, lives):
    """The steps that a run kept which was killed at the end of each life; the last one reaches the end."""
    kept, state = [], None
    for life in lives:
        made = []
        more = life.more
        for step in steps_from(ranks_of(shards, encoder, recipe, life.ranks, life.workers), state):
            if len(made) == life.steps:
                more -= 1
                if more < 0:
                    break
            elif step:
                made.append(step)
        made = made[: max(0, len(made) - life.lost)]
        kept += [step for step, _ in made]
        state = made[-1][1] if made else state
    last = lives[-1]
    return kept + [s[0] for s in steps_from(ranks_of(shards, encoder, recipe, last.ranks, last.workers), state) if s]


def check(shards, encoder, recipe, lives):
    whole = whole_run(shards, encoder, recipe)
    expected = Counter(
        {
            f"{size}/{number:04d}/0": repeat
            for size, repeat in zip(recipe["names"], recipe["repeats"], strict=False)
            for number in range(size)
        }
    )
    for epoch in range(EPOCHS):
        assert Counter(key for at, keys, _ in whole if at == epoch for key in keys) == expected
    assert broken_run(shards, encoder, recipe, lives) == whole


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipe=RECIPES, lives=lives([0]))
def test_any_ranks_killed_anywhere_make_the_steps_of_one_unbroken_run(shards, encoder, recipe, lives):
    check(shards, encoder, recipe, lives)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipe=RECIPES, lives=lives([0, 2]).filter(lambda lives: any(life.workers for life in lives)))
def test_workers_that_read_ahead_have_no_part_in_it(shards, encoder, recipe, lives):
    check(shards, encoder, recipe, lives)
