from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from depictqa.metrics.calibration import (
    accuracy_per_bin,
    area_under_risk_coverage,
    calibration_metrics,
    expected_calibration_error,
    risk_coverage,
)


def test_bins_hold_their_upper_edge_and_the_first_both():
    bins = accuracy_per_bin([0.0, 0.5, 0.51, 0.6, 0.96, 1.0 + 1e-7], [1, 0, 1, 0, 1, 0.5])
    assert [one.name for one in bins] == ["0-0.5", "0.5-0.6", "0.6-0.7", "0.7-0.8", "0.8-0.9", "0.9-0.95", "0.95-1"]
    assert [one.n for one in bins] == [2, 2, 0, 0, 0, 0, 2]
    assert bins[1].accuracy == 0.5 and bins[1].confidence == pytest.approx(0.555)
    assert bins[2].accuracy is None and bins[6].accuracy == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_is_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    sure = rng.random(500)
    right = rng.random(500) < sure**2
    other = binary_calibration_error(torch.tensor(sure), torch.tensor(right).long(), n_bins=15, norm="l1")
    assert expected_calibration_error(sure, right) == pytest.approx(float(other), abs=1e-6)


def test_calibrated_answers_have_a_small_error_and_overconfident_ones_their_excess():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 50_000)
    assert expected_calibration_error(sure, rng.random(50_000) < sure) < 0.02
    assert expected_calibration_error([0.9] * 4, [1, 1, 0, 0]) == pytest.approx(0.4)


def test_risk_and_coverage_by_hand():
    coverage, risk = risk_coverage([0.9, 0.6, 0.8, 0.7], [1, 0, 1, 0])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert area_under_risk_coverage([0.9, 0.6, 0.8, 0.7], [1, 0, 1, 0]) == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_ties_do_not_depend_on_their_order():
    assert area_under_risk_coverage([0.5] * 4, [1, 0, 0, 1]) == pytest.approx(0.5)
    one, other = risk_coverage([0.5, 0.5, 0.9], [1, 0, 1]), risk_coverage([0.5, 0.5, 0.9], [0, 1, 1])
    assert one[1] == pytest.approx(other[1]) and one[1] == pytest.approx([0, 0.25, 1 / 3])


def test_flat_figures_have_no_empty_bin_and_no_answers_no_figures():
    got = calibration_metrics([0.97, 0.55], [1, 0])
    of_bin = ("accuracy_{}", "accuracy_{}_low", "accuracy_{}_high", "confidence_{}", "n_{}")
    bins = {name.format(one) for one in ("0.5-0.6", "0.95-1") for name in of_bin}
    assert set(got) == {"ece", "aurc", "aurc_best"} | bins
    assert got["aurc"] == got["aurc_best"] == pytest.approx(0.25)
    assert calibration_metrics([], []) == {}


@pytest.mark.parametrize(
    ("confidence", "correct", "names"),
    [
        ([1.2], [1], "confidence 1.2"),
        ([float("nan")], [1], "confidence nan"),
        ([0.5], [2], "correct 2"),
        ([0.5, 0.5], [1], "one length"),
        ([], [], "no answer"),
    ],
)
def test_bad_input_is_named(confidence, correct, names):
    with pytest.raises(ValueError, match=names):
        expected_calibration_error(confidence, correct)
