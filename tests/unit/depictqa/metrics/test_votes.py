from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import pearsonr

from depictqa.metrics.votes import Vote, bradley_terry, mean_of_confidences, mean_of_wins, vote_figures

CYCLE = [Vote("a", "b", 0.9), Vote("a", "c", 0.4), Vote("b", "c", 0.7)]


def ordered(count: int) -> list[Vote]:
    return [Vote(f"{i:03}", f"{j:03}", 0.0) for i, j in combinations(range(count), 2)]


def test_means_by_hand():
    assert mean_of_wins(CYCLE) == {"a": 0.5, "b": 0.5, "c": 0.5}
    got = mean_of_confidences(CYCLE)
    assert got == pytest.approx({"a": (0.9 + 0.4) / 2, "b": (0.1 + 0.7) / 2, "c": (0.6 + 0.3) / 2})
    assert mean_of_wins([Vote("a", "b", 0.5)]) == {"a": 0.5, "b": 0.5}


def test_the_order_of_a_pair_does_not_matter():
    turned = [Vote(vote.second, vote.first, 1 - vote.share) for vote in CYCLE]
    for scores in (mean_of_wins, mean_of_confidences, bradley_terry):
        assert scores(turned) == pytest.approx(scores(CYCLE), abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_known_strengths_are_found_again(seed):
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1, 12)
    true -= true.mean()
    votes = []
    for i, j in combinations(range(12), 2):
        share = 1 / (1 + np.exp(true[j] - true[i]))
        votes += [Vote(str(i), str(j), float(rng.random() < share)) for _ in range(100)]
    found = bradley_terry(votes)
    strengths = np.array([found[str(i)] for i in range(12)])
    assert np.abs(strengths - true).max() < 0.3 and pearsonr(strengths, true)[0] > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_it_is_where_hunters_mm_algorithm_ends(seed):
    rng = np.random.default_rng(seed)
    wins = rng.random((6, 6))
    wins = np.triu(wins, 1) + np.tril(1 - wins.T, -1)
    prior, strength = 0.1, np.ones(6)
    for _ in range(2000):
        against = 1 / (strength[:, None] + strength[None])
        np.fill_diagonal(against, 0)
        strength = (wins.sum(1) + prior) / (against.sum(1) + 2 * prior / (strength + 1))
    logs = np.log(strength) - np.log(strength).mean()
    found = bradley_terry([Vote(str(i), str(j), wins[i, j]) for i, j in combinations(range(6), 2)], prior)
    assert [found[str(i)] for i in range(6)] == pytest.approx(logs, abs=1e-4)


def test_perfectly_ordered_items_stay_finite_and_in_order():
    found = bradley_terry(ordered(125))
    strengths = [found[name] for name in sorted(found)]
    assert np.isfinite(strengths).all() and (np.diff(strengths) > 0).all()


def test_missing_pairs_are_no_losses():
    # b has only met the strongest, d only the weakest: the mean of wins cannot tell, the strengths can
    votes = [Vote("a", "b", 0.6), Vote("a", "c", 0.95), Vote("c", "d", 0.4)] * 20
    assert mean_of_wins(votes)["b"] < mean_of_wins(votes)["d"]
    found = bradley_terry(votes)
    assert found["b"] > found["d"]


def test_figures_of_a_noisy_voter_on_two_references():
    rng = np.random.default_rng(0)
    mos = {f"{reference}{n}": float(n) for reference in "pq" for n in range(15)}
    votes = []
    for reference in "pq":
        for i, j in combinations(range(15), 2):
            share = 1 / (1 + np.exp((j - i) / 2 + rng.normal(0, 2)))
            votes.append(Vote(f"{reference}{i}", f"{reference}{j}", float(share)))
    got = vote_figures(votes, mos, {item: item[0] for item in mos})
    assert got["num_votes"] == 210 and got["wins/n"] == 30 and got["wins/per_reference/n"] == 2
    for name in ("wins", "confidences", "bradley_terry_wins", "bradley_terry_confidences"):
        assert got[f"{name}/per_reference/srcc"] > 0.9 and got[f"{name}/plcc"] > 0.9
    with pytest.raises(ValueError, match="'p0' has votes, but no MOS"):
        vote_figures(votes, {}, {})


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: Vote("a", "b", 1.5), "1.5 is not in 0..1"),
        (lambda: Vote("a", "b", float("nan")), "nan is not in 0..1"),
        (lambda: Vote("a", "a", 1), "'a' stands against itself"),
        (lambda: bradley_terry(CYCLE, prior=0), "above 0"),
    ],
)
def test_bad_input_is_named(make, names):
    with pytest.raises(ValueError, match=names):
        make()


def test_no_votes_give_no_scores():
    assert mean_of_wins([]) == mean_of_confidences([]) == bradley_terry([]) == {}
