"""Intervals of correlations: those of resamples that are correlated plainly by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from depictqa.metrics.bootstrap import resamples
from depictqa.metrics.correlation import correlate, fit_logistic
from depictqa.metrics.correlation_interval import correlation_figures, correlation_intervals


def made(num: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, num).astype(float)  # with ties
    return x, np.tanh((x - 10) / 4) + rng.normal(0, 0.5, num).round(1)


@pytest.mark.parametrize("sign", [1, -1])
def test_over_images_they_are_scipys(sign):
    x, y = made()
    x = sign * x
    got = correlation_intervals(x, y)
    drawn = [np.repeat(np.arange(len(x)), times) for times in resamples(np.ones(len(x), dtype=int), 0)]
    srcc = np.quantile([spearmanr(x[d], y[d])[0] for d in drawn], [0.025, 0.975])
    assert (got["srcc_low"], got["srcc_high"]) == pytest.approx(srcc)
    values = fit_logistic(x, y).values
    plcc = sorted(sign * np.quantile([pearsonr(values[d], y[d])[0] for d in drawn], [0.025, 0.975]))
    assert (got["plcc_low"], got["plcc_high"]) == pytest.approx(plcc)
    assert got["srcc_low"] < correlate(x, y).srcc < got["srcc_high"]


def test_images_of_one_reference_are_drawn_together():
    x, y = made()
    references = [f"r{n // 10}" for n in range(60)]
    got = correlation_intervals(x, y, references)
    rows = np.arange(60).reshape(6, 10)
    drawn = [rows[np.repeat(np.arange(6), times)].ravel() for times in resamples(np.ones(6, dtype=int), 0)]
    srcc = np.quantile([spearmanr(x[d], y[d])[0] for d in drawn], [0.025, 0.975])
    assert (got["srcc_low"], got["srcc_high"]) == pytest.approx(srcc)


def test_flat_figures_have_both_kinds_of_interval():
    x, y = made()
    references = [f"r{n // 10}" for n in range(60)]
    got = correlation_figures(x, y, references)
    assert got["n"] == 60 and got["per_reference/n"] == 6
    for name in ("srcc", "plcc", "per_reference/srcc", "per_reference/plcc"):
        assert got[f"{name}_low"] < got[name] < got[f"{name}_high"]
    each = [spearmanr(x[n : n + 10], y[n : n + 10])[0] for n in range(0, 60, 10)]
    assert got["per_reference/srcc"] == pytest.approx(np.mean(each))
    assert correlation_figures(x, y).keys() == {
        "srcc", "plcc", "plcc_linear", "n", "srcc_low", "srcc_high", "plcc_low", "plcc_high",
    }  # fmt: skip


def test_too_few_or_equal_images_have_none():
    assert correlation_intervals([1, 2, 3], [1, 2, 3]) == {}
    assert correlation_intervals([1] * 9, range(9)) == {}
    assert correlation_intervals(range(9), range(9), ["r"] * 9) == {}
