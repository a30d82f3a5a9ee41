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


@pytest.mark.parametrize("name", pools.POOLS)
def test_every_wording_fits_its_pool(name: str) -> None:
    pool = pools.POOLS[name]
    assert [pools.wording_problem(name, wording, pool[:i]) for i, wording in enumerate(pool)] == [None] * len(pool)


@pytest.mark.parametrize(
    ("name", "wording", "problem"),
    [
        ("comparison_questions", "Which one would you keep, {y} or {x}?", None),
        ("comparison_questions", "Which image is better, {y} or {x}?", "is there already"),
        ("comparison_questions", "which image is better - {x} or {y}?", "does not begin with a capital"),
        ("comparison_questions", "Which one would you keep, {x} or {x}?", "does not hold {x} and {y} once each"),
        ("comparison_questions", "Which one would you keep, {x} or {z}?", "does not hold {x} and {y} once each"),
        ("comparison_questions", "Which one would you keep, {x!r} or {y:3}?", "does not hold {x} and {y} once each"),
        ("comparison_questions", "Which one would you keep, {x} or {y?", "has braces that do not match"),
        ("comparison_questions", "Why is {x} better than {y}?", "changes its meaning where the images change places"),
        ("comparison_questions", "Is the quality of {x} superior to {y}?", "changes its meaning"),
        ("comparison_questions", "Which image is worse, {x} or {y}?", "asks for the worse image"),
        ("comparison_questions", "Which is more heavily distorted, {x} or {y}?", "asks for the worse image"),
        ("comparison_questions", "Which is better, image {x} or image {y}?", "names an image beside its placeholders"),
        ("comparison_questions", "Of {x} and {y}, is Image A better?", "names an image beside its placeholders"),
        ("comparison_questions", "Which\nis better, {x} or {y}?", "is not one line"),
        ("comparison_questions", 3, "is not one line"),
        ("comparison_answers", "The nicer of the two is {better}.", None),
        ("comparison_answers", "{worse} is better than {better}.", "is not read back as preferring {better}"),
        ("comparison_answers", "{better} and {worse} are images.", "is not read back as preferring {better}"),
        ("comparison_answers", "{worse} is worse.", "does not hold {better} once each"),
        ("description_questions", "How good is this image?", None),
        ("description_questions", "How good is {x}?", "holds a placeholder; this pool has none"),
        ("identification_questions", "What has happened to {x}?", None),
    ],
)
def test_wordings_that_do_not_fit(name: str, wording: object, problem: str | None) -> None:
    found = pools.wording_problem(name, wording, pools.POOLS[name])
    assert found is None if problem is None else problem in (found or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool: [", "is no YAML"),
        ("- a", "is not pool, drafted_by, reviewed and items"),
        ("{pool: answers, reviewed: true, items: [a]}", "is of 'answers'; choose comparison_questions"),
        ("{pool: description_questions, reviewed: false, items: ['How is it?']}", "not reviewed; read its items, mend"),
        ("{pool: description_questions, reviewed: 'yes', items: ['How is it?']}", "is not reviewed"),
        ("{pool: description_questions, reviewed: true, items: []}", "is not pool, drafted_by"),
        (
            "{pool: description_questions, reviewed: true, items: ['How bad is it?', 'How bad is it.']}",
            "item 2, 'How bad is it.': is th",
        ),
    ],
)
def test_a_pool_that_cannot_be_used_is_named(tmp_path, text: str, message: str) -> None:
    (tmp_path / "pool.yaml").write_text(text)
    with pytest.raises(ValueError, match="pool '.*pool.yaml' ") as caught:
        pools.load_pools([tmp_path / "pool.yaml"])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="writer.pool=NAME drafts one"):
        pools.load_pools([tmp_path / "none.yaml"])


def test_reviewed_wordings_are_drawn_beside_the_others(tmp_path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text("{pool: description_questions, reviewed: true, items: ['How bad is it?']}")
    added = pools.load_pools([path])
    assert added == {"description_questions": ("How bad is it?",)}
    rng = np.random.default_rng(0)

    def make(number: int, item: str) -> str:
        return pools.description_question(rng)

    asked = {pools.make_with(added, make, 0, "") for _ in range(500)}
    assert asked == {*pools.DESCRIPTION_QUESTIONS, "How bad is it?"}
    assert {make(0, "") for _ in range(500)} == set(pools.DESCRIPTION_QUESTIONS), "afterwards as before"


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
