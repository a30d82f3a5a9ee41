from __future__ import annotations

import pytest
import torch

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
