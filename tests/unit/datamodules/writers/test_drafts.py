"""Drafts as JSON lines, and the prompts that they come from."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from datamodules.annotations import Annotation
from datamodules.writers.check import Disagreement
from datamodules.writers.drafts import Draft, items_of, read_drafts, write_by_rule, write_drafts
from datamodules.writers.prompts import in_words
from depictqa.chat.cache import ReplyCache
from depictqa.chat.llm import Llm
from depictqa.chat.replies import Outcome
from depictqa.chat.template import fill
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Slot, Task

FORM = Questionnaire(noise=Level.MILD, overall=Overall.MILD, texture="Faces", texture_damage=Level.UNDISTORTED)
SINGLE = Annotation("1", "ada", {Slot.B: "b.png"}, {Slot.B: FORM})
PAIR = Annotation("2", "ada", {Slot.A: "a.png", Slot.B: "b.png"}, {Slot.A: FORM, Slot.B: Questionnaire()}, Slot.B,
                  {"noise": Slot.B, "blur": None})  # fmt: skip


def test_reads_what_was_written(tmp_path: Path) -> None:
    drafts = list(write_by_rule(items_of([SINGLE, PAIR], seed=0)))
    problem = Disagreement("noise", Slot.A, "mild", None)
    drafts.append(
        dataclasses.replace(drafts[0], key="3", model="m", cost=0.5, outcome=Outcome.EMPTY, problems=(problem,))
    )
    assert [(draft.task, draft.problems) for draft in drafts[:2]] == [(Task.DESCRIPTION, ()), (Task.REASONING, ())]
    write_drafts(tmp_path / "drafts.jsonl", drafts)
    assert read_drafts(tmp_path / "drafts.jsonl") == drafts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "no draft; its fields are key, annotator, task"),
        ({"outcome": "lost"}, "'lost' is not a valid Outcome"),
        ({"task": "song"}, "'song' is not a valid Task"),
        ({"text": 3}, "field 'text' is 3; give text"),
        ({"problems": ["x"]}, "problem 'x'"),
        ({"problems": None}, "x.jsonl line 7: .*NoneType"),
    ],
)
def test_a_wrong_line_is_named(change: dict, message: str) -> None:
    (draft,) = write_by_rule(items_of([SINGLE], seed=0))
    with pytest.raises(ValueError, match=message) as caught:
        Draft.from_json({**draft.to_json(), **change}, "x.jsonl line 7")
    assert str(caught.value).startswith("x.jsonl line 7: ")


def test_an_item_stays_the_same_whatever_stands_beside_it() -> None:
    (alone,) = items_of([PAIR], seed=5)
    assert items_of([SINGLE, PAIR], seed=5)[1] == alone
    others = [dataclasses.replace(SINGLE, key=str(number)) for number in range(50)]
    assert len({item.question for item in items_of(others, seed=0)}) > 5
    assert len({draft.text for draft in write_by_rule(items_of(others, seed=0))}) > 20
    with pytest.raises(ValueError, match="item '2' of annotator 'ada' is there twice; remove one line"):
        items_of([PAIR, SINGLE, PAIR], seed=0)


def test_a_form_in_words() -> None:
    said = in_words(SINGLE)
    assert said.splitlines() == [
        "- brightness and contrast: undistorted",
        "- color: undistorted",
        "- noise: mild",
        "- artifacts: undistorted",
        "- blur: undistorted",
        "- texture damage: none",
        "- main texture in the image: Faces",
        "- image as a whole: mild",
    ]
    a, b, better = in_words(PAIR).split("\n\n")
    assert a == f"Image A:\n{said}"
    assert b.startswith("Image B:\n- brightness") and "texture" not in b
    assert better.splitlines() == ["Which image is better:", "- overall: Image B", "- noise: Image B", "- blur: equal"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{question}", "lacks {questionnaire}; it must hold {questionnaire}, {question}"),
        ("{questionnaire} {question} {form}", "{form} unknown; choose from {questionnaire}, {question}"),
        ("{questionnaire} {question} {", "write {{ for a brace of the text"),
    ],
)
def test_a_template_that_cannot_be_filled_is_named(template: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        fill(template, "description", {"questionnaire": "q", "question": "w"})
    assert str(caught.value).startswith("prompt 'description'")
    assert message in str(caught.value) and str(caught.value).endswith("(writer.prompts)")


@pytest.mark.parametrize(
    ("changed", "key", "message"),
    [
        ({}, "", "no key for the API; set OPENAI_API_KEY in the environment"),
        ({"key_variable": "OTHER"}, "", "set OTHER in the environment"),
        ({}, "sk with space", "the key in OPENAI_API_KEY holds a space or a character that no key has"),
        ({"model": ""}, "sk", r"no model to ask; give the name .*\(writer.model=NAME\)"),
        ({"base_url": "localhost:8000"}, "sk", r"'localhost:8000' is no address; give http://.*\(writer.base_url\)"),
        ({"options": 5}, "sk", r"options 5 are no fields of a request; give \{NAME: VALUE\} \(writer.options\)"),
        ({"requests_per_minute": -1}, "sk", "-1 requests a minute; give a positive number"),
    ],
)
def test_wrong_settings_are_said_at_once(monkeypatch, tmp_path: Path, changed: dict, key: str, message: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ValueError, match=message) as caught:
        Llm(**{"model": "x", "cache": ReplyCache(tmp_path), **changed})
    assert not key or key not in str(caught.value).split()


def test_the_missing_extra_is_named(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ValueError, match="openai and tenacity, .* are not installed: uv sync --extra llm"):
        Llm("x", ReplyCache(tmp_path))
