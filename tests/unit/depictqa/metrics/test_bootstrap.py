from __future__ import annotations

import numpy as np
import pytest

from depictqa.metrics.bootstrap import mean_interval, share_interval


def test_the_interval_is_that_of_theory_and_the_same_each_time():
    values = np.array([0.0] * 300 + [1.0] * 700)
    low, high = mean_interval(values)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=2e-3)
    assert mean_interval(np.random.default_rng(0).permutation(values)) == (low, high)


def test_it_is_the_bootstrap_of_items():
    values = np.random.default_rng(1).normal(size=200)
    drawn = np.random.default_rng(2).choice(values, (20_000, 200)).mean(axis=1)
    assert mean_interval(values) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.01)


def test_it_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = [low <= 0.5 <= high for low, high in (mean_interval(rng.random(60)) for _ in range(300))]
    assert 0.9 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("values", [[], [np.nan], [[1.0]]])
def test_nothing_to_draw_from_is_said(values):
    with pytest.raises(ValueError, match="finite values"):
        mean_interval(np.array(values))


def test_images_of_one_answer_are_drawn_together():
    """Each answer twice, both times alike: as wide as of the answers, not of twice as many images."""
    values = (np.random.default_rng(4).random(400) < 0.7).astype(float)
    twice = share_interval(2 * values[:, None], np.full((400, 1), 2.0))
    assert twice == pytest.approx(mean_interval(values))
    alone = mean_interval(np.repeat(values, 2))
    assert twice[1] - twice[0] > 1.3 * (alone[1] - alone[0])


def test_kinds_of_question_count_alike_however_often_they_are_asked():
    points, asked = np.zeros((200, 2)), np.ones((200, 2))
    points[:, 0], asked[10:, 1] = 1, 0
    assert share_interval(points, asked) == (0.5, 0.5)
    with pytest.raises(ValueError, match="every kind asked"):
        share_interval(np.zeros((3, 2)), np.zeros((3, 2)))
