"""Packs: what they hold, how full they are, and that a plan of them is a plan."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datamodules.packing import even_packs, fewest_level, level, packing_efficiency, windows
from datamodules.plan import Plan
from datamodules.window_plan import WindowPlan, spread

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40).map(np.array)


@given(LENGTHS, st.integers(0, 100))
def test_even_packs_hold_everything_once_and_are_not_too_long(lengths, slack):
    pack_length = int(lengths.max()) + slack
    packs = even_packs(lengths, pack_length)
    assert sorted(np.concatenate(packs).tolist()) == list(range(len(lengths)))
    assert max(int(lengths[pack].sum()) for pack in packs) <= pack_length
    assert len(packs) <= 2 * -(-int(lengths.sum()) // pack_length)


@given(LENGTHS, st.integers(1, 50))
def test_level_packs_differ_by_one_sample_at_most(lengths, num_packs):
    packs = level(lengths, num_packs)
    assert len(packs) == num_packs and sorted(np.concatenate(packs).tolist()) == list(range(len(lengths)))
    sums = [int(lengths[pack].sum()) for pack in packs]
    assert sums == sorted(sums, reverse=True)
    assert all(sums[0] - lengths[packs[0]].min() <= total for total in sums)


@given(LENGTHS, st.integers(0, 100), st.integers(1, 4))
def test_fewest_level_is_the_first_that_fits(lengths, slack, multiple):
    pack_length = int(lengths.max()) + slack
    num_packs = fewest_level(lengths, pack_length, multiple)
    assert num_packs % multiple == 0
    assert max(int(lengths[pack].sum()) for pack in level(lengths, num_packs)) <= pack_length
    if num_packs > multiple:
        before = level(lengths, num_packs - multiple)
        assert max(int(lengths[pack].sum()) for pack in before) > pack_length


@given(st.integers(1, 5000), st.integers(1, 1500))
def test_windows_part_everything(num, window):
    parts = list(windows(num, window))
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(num))
    assert len(parts) == 1 or min(part.stop - part.start for part in parts) == window


def test_efficiency_counts_padding():
    assert packing_efficiency(np.array([6, 5, 4, 5]), 10) == 1.0
    assert packing_efficiency(np.array([6, 5, 4, 5]), 10, window=2) == pytest.approx(20 / 30)
    assert packing_efficiency(np.array([6, 6, 6]), 10) == 0.6


@st.composite
def recipes(draw):
    sources = draw(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 4)), min_size=1, max_size=3))
    assume(sum(size * repeat for size, repeat in sources) >= 6)
    samples = sum(size for size, _ in sources)
    lengths = np.array(draw(st.lists(st.integers(1, 90), min_size=samples, max_size=samples)))
    return {
        "sizes": [size for size, _ in sources],
        "repeats": [repeat for _, repeat in sources],
        "lengths": lengths,
        "batch_size": draw(st.integers(1, 12)),
        "token_budget": int(lengths.max()) + draw(st.integers(0, 400)),
        "seed": draw(st.integers(0, 1000)),
        "epochs": draw(st.integers(1, 3)),
    }


def cropped(lengths):
    """What a crop might leave of each draw: anything, by chance of the epoch."""

    def drawn(epoch, order):
        shares = np.random.default_rng(epoch).uniform(0.5, 1, len(order))
        return np.maximum(1, (lengths[order] * shares).astype(int))

    return drawn


def whole_epoch(plan, epoch):
    """[step][rank][part] draws."""
    return [
        [
            [plan.micro_batch(epoch, step * plan.accumulate + part, rank) for part in range(plan.accumulate)]
            for rank in range(plan.world_size)
        ]
        for step in range(plan.num_steps)
    ]


def check(plan, recipe, drawn, pack_length):
    """What is true of each plan of packs: all draws once, in packs that fit, with the weights of a mean."""
    starts = np.cumsum([0, *recipe["sizes"]])
    expected = Counter()
    for start, size, repeat in zip(starts, recipe["sizes"], recipe["repeats"], strict=False):
        expected.update({int(start) + i: repeat for i in range(size) if repeat})
    loss = np.random.default_rng(0).random(plan.num_draws)
    for epoch in range(recipe["epochs"]):
        order = plan.prepare(epoch)[0]
        lengths = drawn(epoch, order)
        seen = []
        for step, ranks in enumerate(whole_epoch(plan, epoch)):
            total, members = 0.0, []
            for number, draws in ((step * plan.accumulate + p, d) for rank in ranks for p, d in enumerate(rank)):
                assert lengths[[draw.position for draw in draws]].sum() <= pack_length
                members += draws
                total += sum(loss[draw.position] for draw in draws) / plan.denominator(number, epoch)
            assert sorted(members) == sorted(plan.draws(epoch, step))
            if members:
                mean = total / (plan.accumulate * plan.world_size)
                assert np.isclose(mean, np.mean([loss[draw.position] for draw in members]))
            seen += members
        assert sorted(draw.position for draw in seen) == list(range(plan.num_draws))
        assert Counter(draw.sample for draw in seen) == expected


@settings(max_examples=60, deadline=None)
@given(recipes(), st.integers(1, 3), st.booleans())
def test_steps_laid_end_to_end_have_the_members_of_padded_ones(recipe, world_size, crop):
    drawn = cropped(recipe["lengths"]) if crop else lambda epoch, order: recipe["lengths"][order]
    try:
        plain = Plan(**recipe, world_size=world_size)
    except ValueError:
        assume(False)
    plan = Plan(**recipe, world_size=world_size, packed=True, drawn=drawn if crop else None)
    assert plan.num_steps == plain.num_steps
    check(plan, recipe, drawn, recipe["token_budget"])
    for epoch in range(recipe["epochs"]):
        assert all(plan.draws(epoch, step) == plain.draws(epoch, step) for step in range(plan.num_steps))


@settings(max_examples=60, deadline=None)
@given(recipes(), st.integers(1, 3), st.booleans(), st.integers(2, 30))
def test_steps_of_full_packs_are_a_plan(recipe, world_size, crop, window):
    drawn = cropped(recipe["lengths"]) if crop else lambda epoch, order: recipe["lengths"][order]
    recipe = {**recipe, "pack_length": recipe["token_budget"], "window": window}
    alone = WindowPlan(**recipe, drawn=drawn if crop else None)
    plan = WindowPlan(**recipe, world_size=min(world_size, alone.packs_a_step), drawn=drawn if crop else None)
    check(plan, recipe, drawn, recipe["token_budget"])
    assert plan.fingerprint() == alone.fingerprint()
    for epoch in range(recipe["epochs"]):
        assert all(plan.draws(epoch, step) == alone.draws(epoch, step) for step in range(alone.num_steps))


def paper_like(num=4000, seed=0):
    return np.random.default_rng(seed).integers(300, 1200, num)


@pytest.mark.parametrize(
    ("budget", "batch_size", "packs"), [(3000, 16, 8), (8192, 16, 2), (40_000, 16, 1), (3000, 64, 32), (8192, 64, 8)]
)
def test_fitted_packs_make_steps_of_the_batch_size_on_average(budget, batch_size, packs):
    lengths = paper_like()
    given = {"sizes": [len(lengths)], "repeats": [2], "lengths": lengths, "token_budget": budget, "seed": 1}
    plan = WindowPlan(**given, batch_size=batch_size)
    assert plan.packs_a_step == plan.accumulate == packs
    assert plan.pack_length % 64 == 0 and 1200 <= plan.pack_length <= budget
    assert plan.num_draws / plan.num_steps == pytest.approx(batch_size, rel=0.02)
    assert plan.fullness >= (0.94 if budget == 3000 else 0.97)
    sizes = [len(plan.draws(0, step)) for step in range(plan.num_steps)]
    assert np.std(sizes) < 0.1 * np.mean(sizes)


def test_plans_of_other_packs_are_told_apart():
    lengths = paper_like(200)
    given = {"sizes": [200], "repeats": [1], "lengths": lengths, "batch_size": 16, "token_budget": 8192, "seed": 1}
    plans = [
        Plan(**given),
        Plan(**given, packed=True),
        Plan(**given, packed=True, drawn=cropped(lengths)),
        WindowPlan(**given),
        WindowPlan(**given, pack_length=8192),
        WindowPlan(**given, pack_length=8192, window=50),
        WindowPlan(**given, drawn=cropped(lengths)),
    ]
    found = [plan.fingerprint() for plan in plans]
    assert found[0] == found[1] == found[2], "steps of the same samples, however they are laid"
    assert all(found[a] != found[b] for a in range(2, len(plans)) for b in range(2, a))


def test_ranks_wait_where_packs_do_not_part_evenly_and_are_refused_where_one_never_had_any(caplog):
    lengths = paper_like(400)
    given = {"sizes": [400], "repeats": [1], "lengths": lengths, "batch_size": 16, "token_budget": 4096, "seed": 1}
    plan = WindowPlan(**given, world_size=3)
    assert (plan.packs_a_step, plan.accumulate) == (4, 2)
    assert "4 packs a step do not part evenly among 3 ranks, which wait for 33 % of their time" in caplog.text
    assert [[len(plan.micro_batch(0, part, rank)) > 0 for rank in range(3)] for part in range(2)] == [
        [True, True, True],
        [True, False, False],
    ]
    with pytest.raises(ValueError, match="5 ranks but only 4 packs a step, of .* tokens; use fewer ranks, raise data"):
        WindowPlan(**given, world_size=5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pack_length": 1000}, "data.pack_length is 1000, but the longest sample has 1199 tokens and data.token_budg"),
        ({"pack_length": 9000}, "choose one between them"),
        ({"batch_size": 1}, "a step of data.batch_size=1 has .* tokens, too few .* data.packing=step"),
    ],
)
def test_packs_that_cannot_be_name_the_fix(changed, message):
    lengths = np.append(paper_like(200), 1199)
    given = {"sizes": [201], "repeats": [1], "lengths": lengths, "batch_size": 16, "token_budget": 8192, "seed": 1}
    with pytest.raises(ValueError, match=message):
        WindowPlan(**{**given, **changed})


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 20))
def test_spread_gives_the_number_of_packs_and_loses_nothing(sizes, num):
    bounds = np.cumsum([0, *sizes])
    packs = [np.arange(start, stop) for start, stop in zip(bounds, bounds[1:], strict=False)]
    out = spread(packs, num)
    assert len(out) == num
    assert sorted(np.concatenate(out).tolist()) == list(range(sum(sizes)))
    if num <= sum(sizes) and min(sizes) > 0:
        assert all(len(pack) for pack in out)
