from __future__ import annotations

import pytest

from depictqa.metrics.questionnaire import distortion_accuracy, f1_by_class, field_accuracy


def test_fields_left_open_are_wrong_where_asked():
    truth = [{"noise": "severe", "blur": "mild"}, {"noise": "undistorted"}]
    got = field_accuracy([{"noise": "severe"}, {"noise": "mild", "blur": "mild"}], truth)
    assert got["field/noise"] == 0.5
    assert got["field/blur"] == 0  # only asked of the first image, which does not state it
    assert got["field_accuracy"] == 0.25
    assert got["field_accuracy_constant"] == pytest.approx((0.5 + 1) / 2)
    assert field_accuracy([None], [{"noise": "mild"}])["field/noise"] == 0
    assert field_accuracy([], []) == {}


def test_distortions_must_be_named_exactly():
    got = distortion_accuracy(
        [{"blur"}, {"blur", "noise"}, {"noise"}, None, set(), {"blur"}],
        [{"blur"}, {"blur"}, {"blur", "noise"}, {"noise"}, set(), set()],
    )
    assert got["distortion_accuracy"] == 0.25
    assert got["distortion_overlap"] == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert got["clean_accuracy"] == 0.5
    # blur: 2 hits, misses: image 3 not named, image 6 named; noise: 1 hit, image 2 named, image 4 not
    by_class = f1_by_class([{"blur"}, {"blur", "noise"}], [{"blur"}, {"blur"}])
    assert by_class == {"blur": 1.0, "noise": 0.0}
    assert got["distortion_f1"] == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_an_unparsed_text_says_nothing_of_a_clean_image():
    assert distortion_accuracy([None], [set()])["clean_accuracy"] == 0
    assert distortion_accuracy([], []) == {}
