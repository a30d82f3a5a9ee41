from __future__ import annotations

import pytest

from depictqa.metrics.accuracy import TIE, comparison_accuracy


def test_unparsed_answers_are_wrong_over_all_and_absent_over_parsed():
    got = comparison_accuracy(["a", "b", None, "a"], ["a", "a", "b", "a"])
    assert got == {"accuracy": 0.5, "accuracy_parsed": pytest.approx(2 / 3), "share_parsed": 0.75, "n": 4}


def test_a_tie_counts_half():
    assert comparison_accuracy([TIE, "a"], ["a", "a"])["accuracy"] == 0.75


def test_nothing_parsed_and_nothing_at_all():
    assert comparison_accuracy([None], ["a"]) == {"accuracy": 0.0, "share_parsed": 0.0, "n": 1}
    assert comparison_accuracy([], []) == {"n": 0}
