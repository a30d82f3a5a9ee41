"""Figures of votes and of single scores, each recomputed by scipy from the lines themselves."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from depictqa.evaluation.opinions import opinion_figures
from depictqa.evaluation.result import Result
from depictqa.evaluation.score import score
from depictqa.metrics.correlation import fit_logistic
from depictqa.metrics.votes import Vote, bradley_terry
from depictqa.sample import Task

NAMES = [f"{reference}{number}" for reference in "pqr" for number in range(6)]
RNG = np.random.default_rng(0)
MOS = dict(zip(NAMES, RNG.uniform(1, 5, len(NAMES)), strict=True))


def line(first: str, second: str | None = None, full_reference: bool = True, **rest) -> Result:
    names = {"reference": first[0], "a": first} | ({"b": second} if second else {})
    truth = {"names": names, "mos": {slot: MOS[name] for slot, name in names.items() if slot != "reference"}}
    task = Task.COMPARISON if second else Task.ASSESSMENT
    key = f"{first}|{second}|{full_reference}"
    return Result(key, task, "votes_x", "m", full_reference, "?", "", "", truth=truth, **rest)


def pairs() -> list[tuple[str, str]]:
    return [(a, b) for reference in "pqr" for a, b in combinations([n for n in NAMES if n[0] == reference], 2)]


def voted(**rest) -> list[Result]:
    lines = []
    rng = np.random.default_rng(1)
    for a, b in pairs():
        p = 1 / (1 + np.exp(MOS[b] - MOS[a] + rng.normal(0, 1.5)))
        better = "a" if p > 0.5 else "b"
        parsed = {"better": better}
        lines.append(line(a, b, parsed=parsed, confidence=max(p, 1 - p), scores={"a": p, "b": 1 - p}, **rest))
    return lines


def plainly(scores: dict[str, float]) -> dict[str, float]:
    """SRCC and PLCC per reference and over all."""
    names = list(scores)
    x, y = np.array([scores[n] for n in names]), np.array([MOS[n] for n in names])
    figures = {"srcc": spearmanr(x, y)[0], "plcc": pearsonr(fit_logistic(x, y).values, y)[0]}
    each = []
    for reference in "pqr":
        here = np.array([name[0] == reference for name in names])
        each.append((spearmanr(x[here], y[here])[0], pearsonr(fit_logistic(x[here], y[here]).values, y[here])[0]))
    means = np.mean(each, axis=0)
    return figures | {"per_reference/srcc": means[0], "per_reference/plcc": means[1]}


def test_votes_with_and_without_confidence():
    results = voted()
    shares = {(r.truth["names"]["a"], r.truth["names"]["b"]): r.scores["a"] for r in results}
    wins, confidences = {}, {}
    for name in NAMES:
        got = [p if name == a else 1 - p for (a, b), p in shares.items() if name in (a, b)]
        wins[name], confidences[name] = np.mean([p > 0.5 for p in got]), np.mean(got)
    figures = opinion_figures(results)
    assert figures["num_votes"] == 45 and figures["share_parsed"] == 1
    for kind, scores in (("wins", wins), ("confidences", confidences)):
        for name, value in plainly(scores).items():
            assert figures[f"{kind}/{name}"] == pytest.approx(value), (kind, name)
        assert figures[f"{kind}/n"] == 18 and figures[f"{kind}/per_reference/n"] == 3
        assert figures[f"{kind}/srcc_low"] <= figures[f"{kind}/srcc"] <= figures[f"{kind}/srcc_high"]
    for kind, decided in (("bradley_terry_wins", True), ("bradley_terry_confidences", False)):
        votes = [Vote(a, b, float(p > 0.5) if decided else p) for (a, b), p in shares.items()]
        for name, value in plainly(bradley_terry(votes)).items():
            assert figures[f"{kind}/{name}"] == pytest.approx(value)
    assert not any(name.startswith("scores/") for name in figures)


def test_a_metric_has_wins_and_its_own_scores():
    rng = np.random.default_rng(2)
    own = {name: MOS[name] + rng.normal(0, 1) for name in NAMES}
    results = [
        line(a, b, scores={"a": own[a], "b": own[b]}, parsed={"better": "a" if own[a] > own[b] else "b"})
        for a, b in pairs()
    ]
    figures = opinion_figures(results)
    for name, value in plainly(own).items():
        assert figures[f"scores/{name}"] == pytest.approx(value)
    assert figures["wins/per_reference/srcc"] == pytest.approx(figures["scores/per_reference/srcc"])  # no cycles
    assert not any("confidences" in name for name in figures)


def test_words_alone_vote_and_what_they_do_not_say_is_no_vote():
    results = voted()
    results = [line(*names, parsed=r.parsed) for names, r in zip(pairs(), results, strict=True)]
    results[0] = line(*pairs()[0], parsed=None, reason="no image is named")
    results[1] = line(*pairs()[1], parsed={"better": "neither"})
    figures = opinion_figures(results)
    assert figures["num_votes"] == 43 and figures["share_parsed"] == pytest.approx(44 / 45)
    assert "wins/srcc" in figures and "confidences/srcc" not in figures and "scores/srcc" not in figures


def test_pairs_asked_in_both_orders_are_votes_both_times():
    results = voted()
    exchanged = [
        line(b, a, parsed={"better": "a" if r.parsed["better"] == "b" else "b"}, confidence=r.confidence)
        for (a, b), r in zip(pairs(), results, strict=True)
    ]
    both, one = opinion_figures(results + exchanged), opinion_figures(results)
    assert both["num_votes"] == 90
    assert both["confidences/srcc"] == pytest.approx(one["confidences/srcc"])


def test_single_scores_are_correlated_with_intervals():
    own = {name: MOS[name] ** 2 + n % 3 for n, name in enumerate(NAMES)}
    figures = opinion_figures([line(name, scores={"a": own[name]}) for name in NAMES])
    for name, value in plainly(own).items():
        assert figures[f"scores/{name}"] == pytest.approx(value)
    assert figures["scores/n"] == 18 and "num_votes" not in figures
    photos = [line(name, scores={"a": own[name]}) for name in NAMES]
    for result in photos:
        del result.truth["names"]["reference"]
    figures = opinion_figures(photos)
    x, y = list(own.values()), [MOS[name] for name in own]
    assert figures["scores/srcc"] == pytest.approx(spearmanr(x, y)[0])
    assert not any("per_reference" in name for name in figures)


def test_what_has_no_score_is_counted_and_left_out():
    results = [line(name, scores={"a": MOS[name]}) for name in NAMES[:-1]] + [line(NAMES[-1], reason="too small")]
    figures = score(results)
    assert figures["n"] == figures["full_reference/n"] == 18 and figures["full_reference/scores/n"] == 17
    assert opinion_figures([line("p0", scores={"a": 1.0})]) == {}


def test_the_scorer_keeps_both_ways_of_asking_apart():
    results = voted() + [line(a, b, False, parsed={"better": "a"}, confidence=0.6) for a, b in pairs()]
    figures = score(results)
    assert figures["n"] == 90 and figures["full_reference/n"] == figures["no_reference/n"] == 45
    assert figures["full_reference/wins/srcc"] == opinion_figures(voted())["wins/srcc"]
    assert figures["no_reference/wins/srcc"] != figures["full_reference/wins/srcc"]
    assert "accuracy" not in figures and "wins/srcc" not in figures
