from __future__ import annotations

import pytest

from depictqa.metrics.text import distinct, repeated_ngram_rate, rouge_l, text_statistics, vocabulary, words


def test_words_are_lower_case_without_punctuation():
    assert words("Image A's blur: well-known, 2x!") == ["image", "a's", "blur", "well-known", "2x"]


def test_a_loop_is_seen():
    assert repeated_ngram_rate("the image is blurred and noisy") == 0
    assert repeated_ngram_rate("a b c d a b c d") == pytest.approx(1 - 4 / 5)
    assert repeated_ngram_rate("too short") == 0


def test_variety_over_all_texts():
    assert distinct(["a b", "a b"], 1) == 0.5
    assert distinct(["a b", "b a"], 2) == 1
    assert vocabulary(["Blur here", "blur there"]) == 3


def test_rouge_l_is_f1_of_the_longest_common_subsequence():
    # 4 of 5 and of 6 words stand in both in this order; nothing of the second pair does
    said = rouge_l(["the image shows a cat", "blur"], ["The picture shows a small cat.", "A red flower."])
    assert said == pytest.approx((2 * (4 / 5) * (4 / 6) / (4 / 5 + 4 / 6) + 0) / 2, abs=1e-6)


def test_statistics_of_nothing():
    assert text_statistics([]) == {}
    assert text_statistics(["", ""])["distinct_texts"] == 0.5
