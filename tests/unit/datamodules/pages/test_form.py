"""The form: what is asked of an item, and what was answered to it."""

from __future__ import annotations

import pytest

from datamodules.annotations import FACTORS
from datamodules.pages.form import Unanswered, annotation_of, answers_of, questions
from datamodules.pages.items import Item
from depictqa.questionnaire import Level, Overall
from depictqa.sample import Slot

SINGLE = Item("1", {Slot.REFERENCE: "r.png", Slot.A: "a.png"})
PAIR = Item("2", {Slot.A: "a.png", Slot.B: "b.png"})


def last_choices(item):
    return {question.name: question.choices[-1][1] for question in questions(item)}


def test_every_field_is_asked_of_every_image():
    assert len(questions(SINGLE)) == 8
    assert len(questions(PAIR)) == 2 * 8 + len(FACTORS) + 1
    assert [q.label for q in questions(PAIR)][2:5] == [
        "texture damage of image A",
        "texture damage of image B",
        "which image is better in texture damage",
    ]
    assert [choice[:2] for choice in questions(SINGLE)[1].choices] == [
        ("1", "undistorted"),
        ("2", "mild"),
        ("3", "severe"),
    ]


@pytest.mark.parametrize("item", [SINGLE, PAIR])
def test_answers_become_an_annotation_and_come_back(item):
    answers = last_choices(item)
    annotation = annotation_of(item, "ada", answers)
    assert annotation.images == item.images and annotation.annotator == "ada"
    assert annotation.forms[Slot.A].noise is Level.SEVERE and annotation.forms[Slot.A].overall is Overall.SEVERE
    assert annotation.forms[Slot.A].texture == "Objects"
    assert annotation.better is (Slot.B if item is PAIR else None)
    assert answers_of(annotation) == answers


def test_equal_is_an_answer_by_factor_but_not_overall():
    answers = last_choices(PAIR) | {"better.blur": "equal"}
    assert annotation_of(PAIR, "ada", answers).better_by_field["blur"] is None
    with pytest.raises(ValueError, match="which image is better overall is 'equal', which is no choice"):
        annotation_of(PAIR, "ada", answers | {"better.overall": "equal"})


@pytest.mark.parametrize("name", [question.name for question in questions(PAIR)])
def test_an_open_question_is_named(name):
    question = next(question for question in questions(PAIR) if question.name == name)
    answers = {key: value for key, value in last_choices(PAIR).items() if key != name}
    for incomplete in (answers, answers | {name: ""}):
        with pytest.raises(Unanswered, match=f"^{question.label} is not answered") as caught:
            annotation_of(PAIR, "ada", incomplete)
        assert caught.value.question == question
