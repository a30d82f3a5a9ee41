"""Pools are large, symmetric in A and B, and every brief answer is read back as what it says."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.writers import pools
from depictqa.parsing import parse_preference
from depictqa.sample import Slot


def test_comparison_pools_have_twenty_distinct_entries() -> None:
    for pool in (pools.COMPARISON_QUESTIONS, pools.COMPARISON_ANSWERS):
        assert len(set(pool)) == len(pool) >= 20


def test_comparison_questions_name_each_image_once() -> None:
    for question in (*pools.COMPARISON_QUESTIONS, *pools.REASONING_QUESTIONS):
        assert question.count("{x}") == question.count("{y}") == 1
        assert question[-1] in "?."


@pytest.mark.parametrize("answer", pools.COMPARISON_ANSWERS)
@pytest.mark.parametrize("better", [Slot.A, Slot.B])
def test_every_answer_is_parsed_as_the_better_image(answer: str, better: Slot) -> None:
    names = {"better": pools.image_name(better), "worse": pools.image_name(pools.other(better))}
    assert parse_preference(answer.format(**names)).better is better


def test_single_word_turns() -> None:
    turn = pools.comparison(Slot.B, np.random.default_rng(0), single_word=True)
    assert turn.question.endswith(" Answer the question using a single word or phrase.")
    assert turn.answer == "Image B"


def test_order_of_names_in_questions_does_not_tell_the_answer() -> None:
    rng = np.random.default_rng(0)
    turns = [pools.comparison(Slot.A, rng, single_word=True) for _ in range(2000)]
    first = np.mean([turn.question.index("Image A") < turn.question.index("Image B") for turn in turns])
    assert abs(first - 0.5) < 0.05


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_balanced_is_half_and_half(count: int) -> None:
    values = pools.balanced(count, np.random.default_rng(count))
    assert len(values) == count
    assert sum(values) in (count // 2, (count + 1) // 2)
