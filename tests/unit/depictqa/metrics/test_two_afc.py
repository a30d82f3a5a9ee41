from __future__ import annotations

import multiprocessing

import pytest
import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler

from depictqa.metrics.two_afc import TwoAFC

# d0, d1, fraction of five people who preferred image 1; the last distances tie
D0 = torch.tensor([0.1, 0.5, 0.3, 0.2])
D1 = torch.tensor([0.4, 0.2, 0.1, 0.2])
JUDGE = torch.tensor([0.2, 1.0, 0.4, 0.6])


def test_both_conventions_and_the_human_rows_by_hand():
    metric = TwoAFC(votes=5)
    metric.update(D0, D1, JUDGE)
    got = {name: float(value) for name, value in metric.compute().items()}
    assert got["score"] == pytest.approx((0.8 + 1.0 + 0.4 + 0.5) / 4)
    assert got["majority_accuracy"] == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert got["human"] == pytest.approx((0.68 + 1.0 + 0.52 + 0.52) / 4)
    # agreeing pairs of different people over all of them: 1 + 4 votes -> 6 of 10, 5 -> 10, 2 + 3 -> 4
    assert got["human_leave_one_out"] == pytest.approx((0.6 + 1.0 + 0.4 + 0.4) / 4)
    assert got["ceiling"] == pytest.approx((0.8 + 1.0 + 0.6 + 0.6) / 4)
    assert got["n"] == 4


def test_updates_add_up():
    whole, parts = TwoAFC(), TwoAFC()
    whole.update(D0, D1, JUDGE)
    parts.update(D0[:1], D1[:1], JUDGE[:1])
    parts.update(D0[1:], D1[1:], JUDGE[1:])
    assert whole.compute() == parts.compute()


def test_even_votes_have_no_majority():
    metric = TwoAFC(votes=2)
    metric.update(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.0]))
    got = metric.compute()
    assert got["majority_accuracy"] == 0  # only the second triplet has one, and it is missed
    assert got["score"] == pytest.approx(0.25)
    assert got["human_leave_one_out"] == pytest.approx(0.5)  # one pair disagrees, one agrees


def test_one_vote_leaves_nobody_out():
    metric = TwoAFC(votes=1)
    metric.update(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([0.0]))
    assert "human_leave_one_out" not in metric.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_seen_gives_no_figures():
    assert set(TwoAFC().compute()) == {"n"}


@pytest.mark.parametrize(
    ("d0", "judge", "names"),
    [
        ([0.1], [0.3], "judge 0.3"),
        ([0.1], [1.2], "judge 1.2"),
        ([float("nan")], [0.2], "NaN"),
        ([1, 2], [0], "shape"),
    ],
)
def test_bad_input_is_named(d0, judge, names):
    with pytest.raises(ValueError, match=names):
        TwoAFC().update(torch.tensor(d0), torch.tensor([0.2]), torch.tensor(judge))


def test_a_triplet_that_comes_again_counts_once():
    once, again = TwoAFC(), TwoAFC()
    once.update(D0, D1, JUDGE)
    again.update(D0, D1, JUDGE, index=torch.arange(4))
    again.update(D0[2:], D1[2:], JUDGE[2:], index=torch.tensor([2, 3]))
    assert {name: float(v) for name, v in again.compute().items()} == pytest.approx(
        {name: float(v) for name, v in once.compute().items()}
    )


def count(rank, store, triplets, answers):
    """One of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    d0, d1, judge = map(torch.tensor, triplets)
    mine = torch.tensor(list(DistributedSampler(range(len(d0)), 2, rank, shuffle=False)))
    padded, counted, lonely = TwoAFC(), TwoAFC(), TwoAFC()
    padded.update(d0[mine], d1[mine], judge[mine])
    counted.update(d0[mine], d1[mine], judge[mine], index=mine)
    if rank == 0:
        lonely.update(d0, d1, judge)  # the other process has nothing
    answers.put([{name: float(v) for name, v in metric.compute().items()} for metric in (padded, counted, lonely)])
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*fork")
def test_processes_whose_sampler_pads_count_each_triplet_once(tmp_path):
    """Three triplets for two processes: the sampler gives one of them twice."""
    triplets = [D0[:3].tolist(), D1[:3].tolist(), JUDGE[:3].tolist()]
    fork = multiprocessing.get_context("fork")  # has all that takes long to import
    answers = fork.Queue()
    processes = [fork.Process(target=count, args=(rank, tmp_path / "store", triplets, answers)) for rank in range(2)]
    for process in processes:
        process.start()
    first, second = (answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(timeout=60)
    assert first == second
    padded, counted, lonely = first
    alone = TwoAFC()
    alone.update(*map(torch.tensor, triplets))
    expected = {name: float(value) for name, value in alone.compute().items()}
    assert padded["n"] == 4 and counted == pytest.approx(expected) and lonely == pytest.approx(expected)
