"""Average precision of distances, by hand, against scikit-learn, and as BAPPS' authors write it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from depictqa.metrics.jnd import average_precision, average_precision_interval


def authors(distances: np.ndarray, same: np.ndarray) -> float:
    """The definition in the words of the paper's code, for distances that are all different."""
    sames = same[np.argsort(distances)]
    hits, alarms = np.cumsum(sames), np.cumsum(1 - sames)
    recall = np.concatenate(([0.0], hits / sames.sum(), [1.0]))
    precision = np.concatenate(([0.0], hits / (hits + alarms), [0.0]))
    for place in range(len(precision) - 1, 0, -1):
        precision[place - 1] = max(precision[place - 1], precision[place])
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())


def test_cases_by_hand():
    assert average_precision([1, 2, 3, 4], [1, 1, 0, 0]) == 1
    assert average_precision([4, 3, 2, 1], [1, 1, 0, 0]) == pytest.approx(0.5)  # found 3rd and 4th: the envelope is 2/4
    # hits at places 1 and 3: half the recall at precision 1, half at 2/3
    assert average_precision([1, 2, 3], [1, 0, 1]) == pytest.approx(1 / 2 + (2 / 3) / 2)
    # fractions: 1/3 of a hit, then a whole one; precision 1/3, 2/3, so that the envelope is 2/3 all over
    assert average_precision([1, 2], [1 / 3, 1]) == pytest.approx(2 / 3)
    assert average_precision([1, 1, 1], [1, 0, 0]) == pytest.approx(1 / 3)  # equal distances tell nothing


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_authors_and_scikit_learns_under_the_envelope(seed):
    rng = np.random.default_rng(seed)
    distances, same = rng.random(200), rng.integers(0, 4, 200) / 3
    assert average_precision(distances, same) == pytest.approx(authors(distances, same))
    whole = (same > 0.5).astype(float)
    precision, recall, _ = precision_recall_curve(whole, -distances)
    envelope = np.maximum.accumulate(precision)  # from full recall down
    assert average_precision(distances, whole) == pytest.approx(-(np.diff(recall) * envelope[:-1]).sum())
    assert average_precision(distances, whole) >= average_precision_score(whole, -distances)


def test_it_is_scikit_learns_where_precision_only_falls():
    distances, same = np.arange(8), np.array([1, 1, 1, 0, 0, 1, 0, 0])
    assert average_precision(distances, same) == pytest.approx(average_precision_score(same, -distances))


def test_equal_distances_have_no_order():
    rng = np.random.default_rng(0)
    distances, same = rng.integers(0, 5, 60).astype(float), rng.integers(0, 4, 60) / 3
    order = rng.permutation(60)
    assert average_precision(distances[order], same[order]) == pytest.approx(average_precision(distances, same))


def test_the_interval_holds_the_figure_and_is_that_of_drawn_pairs():
    rng = np.random.default_rng(1)
    same = rng.integers(0, 4, 150) / 3
    distances = rng.normal(size=150) - same
    low, high = average_precision_interval(distances, same)
    assert low < average_precision(distances, same) < high
    drawn = [rng.integers(0, 150, 150) for _ in range(1000)]
    plain = np.quantile([average_precision(distances[d], same[d]) for d in drawn], [0.025, 0.975])
    assert (low, high) == pytest.approx(plain, abs=0.02)
    assert average_precision_interval(distances, same) == (low, high)


@pytest.mark.parametrize(
    ("distances", "same"), [([1.0], [0.5, 1]), ([np.nan, 1], [1, 1]), ([1, 2], [0, 0]), ([1, 2], [0, 1.5])]
)
def test_what_cannot_be_scored_is_refused(distances, same):
    with pytest.raises(ValueError, match="must be"):
        average_precision(distances, same)
