from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import pearsonr, spearmanr

from depictqa.metrics.correlation import correlate, correlate_by_reference, fit_logistic, logistic

BETAS = (4.5, 1.2, 0.6, 0.08)


def made(seed: int, n: int = 60, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, n)
    return x, logistic(x, *BETAS) + rng.normal(0, noise, n)


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_is_scipys_from_the_true_start(seed):
    x, y = made(seed)
    betas, _ = curve_fit(logistic, x, y, p0=BETAS, maxfev=10_000)
    assert fit_logistic(x, y).betas == pytest.approx(betas, rel=1e-2, abs=1e-3)
    got = correlate(x, y)
    assert got.plcc == pytest.approx(pearsonr(logistic(x, *betas), y)[0], abs=1e-6)
    assert got.srcc == pytest.approx(spearmanr(x, y)[0]) and got.plcc_linear == pytest.approx(pearsonr(x, y)[0])
    assert got.plcc > got.plcc_linear and got.n == 60 and got.note is None


def test_exact_data_give_their_parameters_back_in_any_units():
    x, y = made(0, noise=0)
    assert fit_logistic(x, y).betas == pytest.approx(BETAS, rel=1e-4)
    scaled = fit_logistic(1000 * x - 400, 100 * y)
    assert scaled.betas == pytest.approx((450, 120, 200, 80), rel=1e-4)


def test_a_metric_that_is_the_wrong_way_round_correlates_negatively():
    x, y = made(1)
    right, wrong = correlate(x, y), correlate(-x, y)
    assert (wrong.srcc, wrong.plcc, wrong.plcc_linear) == pytest.approx((-right.srcc, -right.plcc, -right.plcc_linear))


@pytest.mark.parametrize("curve", [lambda x: 2 * x, lambda x: x**3, np.exp, np.sqrt, lambda x: (x > 0.5).astype(float)])
def test_straight_steep_and_open_curves_end_well(curve):
    x = np.linspace(0, 1, 40)
    got = correlate(x, curve(x))
    assert got.plcc > 0.99 and got.note is None


def test_hopeless_data_fall_back_with_a_note():
    rng = np.random.default_rng(3)
    notes = {correlate(rng.normal(size=30), rng.normal(size=30)).note for _ in range(10)}
    assert notes <= {None, "the logistic fit did not converge: linear correlation"}
    few = correlate([1, 2, 3], [1, 2, 4])
    assert few.plcc == few.plcc_linear and "3 images" in few.note
    flat = correlate([1, 1, 1, 1, 1], [1, 2, 3, 4, 5])
    assert (flat.srcc, flat.plcc) == (0, 0) and "all scores are equal" in flat.note


def test_a_fit_that_fails_falls_back(monkeypatch):
    monkeypatch.setattr("depictqa.metrics.correlation._start", lambda *_: (19.0, -6.0))  # a flat piece: no slope
    got = correlate(*made(0))
    assert got.plcc == got.plcc_linear and "did not converge" in got.note


def test_each_reference_apart_and_the_whole_set():
    x, y = made(0, 120)
    references = [f"r{index % 4}" for index in range(120)]
    shift = np.arange(120) % 4  # the references' own levels: order within each is kept, the whole set's is not
    got = correlate_by_reference(x + shift, y, references)
    each = [correlate(x[index::4], y[index::4]) for index in range(4)]
    figures = got.figures()
    assert figures["per_reference/srcc"] == pytest.approx(np.mean([one.srcc for one in each]))
    assert figures["per_reference/plcc"] == pytest.approx(np.mean([one.plcc for one in each]), abs=1e-6)
    assert figures["srcc"] == pytest.approx(spearmanr(x + shift, y)[0]) and figures["srcc"] < 0.6
    assert (figures["n"], figures["per_reference/n"]) == (120, 4)


def test_references_without_a_correlation_are_left_out_and_named():
    got = correlate_by_reference([1, 2, 3, 4, 5], [1, 2, 3, 3, 1], ["a", "a", "b", "b", "c"])
    assert list(got.references) == ["a"] and got.figures()["per_reference/n"] == 1
    assert any(note.startswith("b: left out") for note in got.notes)


@pytest.mark.parametrize(
    ("scores", "mos", "names"),
    [
        ([1, float("nan")], [1, 2], "score 1 is nan"),
        ([1, 2], [1, float("inf")], "MOS 1 is inf"),
        ([1, 2, 3], [1, 2], "one length"),
        ([1, 2], [3, 3], "two different MOS"),
    ],
)
def test_bad_input_is_named(scores, mos, names):
    with pytest.raises(ValueError, match=names):
        correlate(scores, mos)
