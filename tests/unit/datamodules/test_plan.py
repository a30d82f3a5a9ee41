from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datamodules.plan import Draw, Plan, cut, epoch_order, fewest_bins, num_steps, step_bounds

SOURCES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=4)


@st.composite
def plans(draw):
    sources = draw(SOURCES)
    assume(sum(size * repeat for size, repeat in sources))
    samples = sum(size for size, _ in sources)
    lengths = np.array(draw(st.lists(st.integers(1, 90), min_size=samples, max_size=samples)))
    given = {
        "sizes": [size for size, _ in sources],
        "repeats": [repeat for _, repeat in sources],
        "lengths": lengths,
        "batch_size": draw(st.integers(1, 20)),
        "token_budget": int(lengths.max()) + draw(st.integers(0, 400)),
        "seed": draw(st.integers(0, 1000)),
        "epochs": draw(st.integers(1, 3)),
    }
    draws = sum(size * repeat for size, repeat in sources)
    most_ranks = draws // num_steps(draws, given["batch_size"])
    return given, draw(st.integers(1, min(most_ranks, 5)))


def steps_of(plan, epoch):
    """Each optimizer step's draws, collected from all ranks' micro-batches."""
    steps = [[] for _ in range(plan.num_steps)]
    for rank in range(plan.world_size):
        for number in range(plan.micro_batches):
            steps[number // plan.accumulate] += plan.micro_batch(epoch, number, rank)
    return steps


@settings(max_examples=150, deadline=None)
@given(plans())
def test_every_draw_exactly_once_and_repeats_exact(case):
    options, world_size = case
    plan = Plan(**options, world_size=world_size)
    starts = np.cumsum([0, *options["sizes"]])
    expected = Counter()
    for start, size, repeat in zip(starts, options["sizes"], options["repeats"], strict=False):
        expected.update({int(start) + i: repeat for i in range(size) if repeat})
    for epoch in range(options["epochs"]):
        draws = [draw for step in steps_of(plan, epoch) for draw in step]
        assert sorted(draw.position for draw in draws) == list(range(plan.num_draws))
        assert Counter(draw.sample for draw in draws) == expected


@settings(max_examples=100, deadline=None)
@given(plans())
def test_steps_have_the_same_members_for_any_world_size(case):
    options, world_size = case
    one, many = Plan(**options), Plan(**options, world_size=world_size)
    for epoch in range(options["epochs"]):
        assert [sorted(step) for step in steps_of(one, epoch)] == [sorted(step) for step in steps_of(many, epoch)]


@settings(max_examples=100, deadline=None)
@given(plans())
def test_token_budget_holds_and_accumulate_is_the_least(case):
    options, world_size = case
    plan = Plan(**options, world_size=world_size)
    fullest = 0
    for epoch in range(options["epochs"]):
        for rank in range(world_size):
            for number in range(plan.micro_batches):
                lengths = [options["lengths"][draw.sample] for draw in plan.micro_batch(epoch, number, rank)]
                assert max(lengths, default=0) * len(lengths) <= options["token_budget"]
        for step in range(plan.num_steps):
            lengths = options["lengths"][[draw.sample for draw in plan.draws(epoch, step)]]
            fullest = max(fullest, fewest_bins(-np.sort(-lengths), options["token_budget"]))
    assert (plan.accumulate - 1) * world_size < fullest <= plan.accumulate * world_size


@settings(max_examples=100, deadline=None)
@given(plans())
def test_denominators_make_the_mean_over_micro_batches_the_mean_over_samples(case):
    options, world_size = case
    plan = Plan(**options, world_size=world_size)
    loss = np.random.default_rng(0).random(len(options["lengths"]))
    totals = np.zeros(plan.num_steps)
    for rank in range(world_size):
        for number in range(plan.micro_batches):
            micro_batch = plan.micro_batch(0, number, rank)
            part = sum(loss[draw.sample] for draw in micro_batch) / plan.denominator(number)
            totals[number // plan.accumulate] += part / (plan.accumulate * world_size)
    means = [np.mean([loss[draw.sample] for draw in plan.draws(0, step)]) for step in range(plan.num_steps)]
    assert np.allclose(totals, means)


@settings(max_examples=100, deadline=None)
@given(SOURCES, st.integers(0, 99), st.integers(0, 5))
def test_order_depends_on_seed_and_epoch_alone(sources, seed, epoch):
    sizes, repeats = zip(*sources, strict=True)
    order = epoch_order(sizes, repeats, seed, epoch)
    assert np.array_equal(order, epoch_order(sizes, repeats, seed, epoch))
    if len(set(order.tolist())) > 12:
        assert not np.array_equal(order, epoch_order(sizes, repeats, seed, epoch + 1))
        assert not np.array_equal(order, epoch_order(sizes, repeats, seed + 1, epoch))


@given(st.integers(1, 5000), st.integers(1, 200))
def test_step_bounds_part_the_epoch_near_equally(draws, batch_size):
    steps = num_steps(draws, batch_size)
    bounds = [step_bounds(draws, steps, step) for step in range(steps)]
    sizes = [stop - start for start, stop in bounds]
    assert [start for start, _ in bounds] == np.cumsum([0, *sizes[:-1]]).tolist() and sum(sizes) == draws
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    assert sizes == [len(part) for part in np.array_split(np.arange(draws), steps)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=14), st.integers(0, 100), st.integers(0, 6))
def test_cut_parts_everything_with_the_least_largest_bin(lengths, slack, more):
    lengths = np.array(lengths)
    budget = int(lengths.max()) + slack
    bins = fewest_bins(-np.sort(-lengths), budget) + more
    parts = cut(lengths, bins, budget)
    assert len(parts) == bins
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    assert sum(len(part) == 0 for part in parts) == max(0, bins - len(lengths))
    costs = [len(part) * int(lengths[part].max()) for part in parts if len(part)]
    assert costs == sorted(costs, reverse=True)
    if costs[0] > lengths.max():
        assert fewest_bins(-np.sort(-lengths), costs[0] - 1) > bins


def options(**changed):
    return {
        "sizes": [4],
        "repeats": [2],
        "lengths": np.array([5, 9, 3, 7]),
        "batch_size": 4,
        "token_budget": 20,
    } | {
        "seed": 0,
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"world_size": 5},
            "5 ranks but only 4 records a step .of 8 in all.; use fewer ranks or raise data.batch_size",
        ),
        ({"token_budget": 8}, "the longest sample has 9 tokens, over data.token_budget=8; raise it"),
        ({"repeats": [0]}, "no samples to train on"),
        ({"sizes": [0], "lengths": np.array([], dtype=int)}, "no samples to train on"),
        ({"repeats": [1.5]}, r"repeat \(data.repeat, data.repeats\) is 1.5; give a whole number of at least 0"),
        ({"batch_size": 0}, "data.batch_size is 0; give a whole number of at least 1"),
    ],
)
def test_impossible_plans_name_the_cause_and_the_fix(changed, message):
    with pytest.raises(ValueError, match=message):
        Plan(**options(**changed))


def test_epoch_beyond_the_planned_ones_passes_the_budget_by_the_least():
    lengths = np.array([1] * 6 + [10] * 6)
    given = options(sizes=[12], repeats=[1], lengths=lengths, batch_size=6, token_budget=10, epochs=1)
    plans = [Plan(**{**given, "seed": seed}) for seed in range(40)]
    tight = next(plan for plan in plans if plan.accumulate == 4)
    for epoch in range(40):
        assert Counter(draw.sample for step in steps_of(tight, epoch) for draw in step) == Counter(range(12))
    assert [len(part) for part in cut(np.full(6, 10), 4, 10)] == [2, 2, 1, 1]


def test_one_sample_a_micro_batch_leaves_empty_ones_where_a_step_is_smaller():
    plan = Plan(**options(sizes=[5], repeats=[1], lengths=np.full(5, 20), batch_size=3))
    assert plan.accumulate == 3
    assert [len(plan.micro_batch(0, number, 0)) for number in range(6)] == [1, 1, 1, 1, 1, 0]


def test_fingerprint_tells_other_data_and_settings_apart():
    same = Plan(**options()).fingerprint()
    assert same == Plan(**options(epochs=1)).fingerprint()
    others = [{"seed": 1}, {"batch_size": 2}, {"lengths": np.array([5, 9, 3, 8])}, {"repeats": [3]}]
    assert all(Plan(**options(**other)).fingerprint() != same for other in others)
    assert isinstance(Plan(**options()).draws(0, 0)[0], Draw)
