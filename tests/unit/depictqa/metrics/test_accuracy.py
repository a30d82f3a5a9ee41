from __future__ import annotations

import pytest

from depictqa.metrics.accuracy import TIE, comparison_accuracy


def test_unparsed_answers_are_wrong_over_all_and_absent_over_parsed():
    got = comparison_accuracy(["a", "b", None, "a"], ["a", "a", "b", "a"])
    assert (got["accuracy"], got["share_parsed"], got["n"]) == (0.5, 0.75, 4)
    assert got["accuracy_parsed"] == pytest.approx(2 / 3)
    assert got["accuracy_low"] == 0 and got["accuracy_high"] == 1
    assert 0 <= got["accuracy_parsed_low"] < 2 / 3 < got["accuracy_parsed_high"] <= 1


def test_a_tie_counts_half():
    assert comparison_accuracy([TIE, "a"], ["a", "a"])["accuracy"] == 0.75


def test_nothing_parsed_and_nothing_at_all():
    nothing = {"accuracy": 0.0, "accuracy_low": 0.0, "accuracy_high": 0.0, "share_parsed": 0.0, "n": 1}
    assert comparison_accuracy([None], ["a"]) == nothing
    assert comparison_accuracy([], []) == {"n": 0}
