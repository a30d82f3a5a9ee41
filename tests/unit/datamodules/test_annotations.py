"""Annotations as JSON lines: what is read is what was written, and an error names file, line and field."""

from __future__ import annotations

import json

import pytest

from datamodules.annotations import Annotation, from_json, read_annotations, to_json, write_annotations
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Slot

MILD = Questionnaire(noise=Level.MILD, overall=Overall.MILD, texture="Faces", texture_damage=Level.MILD)
SINGLE = Annotation("1", "ada", {Slot.A: "x/a.png"}, {Slot.A: MILD})
PAIR = Annotation(
    "2",
    "ada",
    {Slot.REFERENCE: "r.png", Slot.A: "a.png", Slot.B: "b.png"},
    {Slot.A: MILD, Slot.B: Questionnaire()},
    better=Slot.B,
    better_by_field={"noise": Slot.B, "blur": None},
)


def test_reads_what_was_written(tmp_path):
    write_annotations(tmp_path / "lines.jsonl", [SINGLE, PAIR])
    assert read_annotations(tmp_path / "lines.jsonl") == [SINGLE, PAIR]
    assert [path.name for path in tmp_path.iterdir()] == ["lines.jsonl"]
    assert to_json(PAIR)["better_by_field"] == {"noise": "b", "blur": "equal"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": 3}, "field 'key' is 3"),
        ({"annotator": ""}, "field 'annotator' is ''"),
        ({"forms": {}}, "field 'forms'"),
        ({"forms": {"a": {"noise": "mild"}}}, "form 'a': questionnaire field 'brightness' is missing"),
        ({"forms": {"reference": MILD.to_dict()}}, "forms are about images a and b"),
        ({"images": {"a": "../a.png"}}, "leaves the folder"),
        ({"images": {"a": "/a.png"}}, "leaves the folder"),
        ({"images": {"c": "a.png"}}, "names slot 'c'"),
        ({"better": "reference"}, "field 'better' is 'reference'; choose a, b$"),
        ({"better_by_field": {"sharpness": "a"}}, "its names are texture_damage"),
        ({"better_by_field": {"blur": "c"}}, "choose a, b or equal"),
        ({"remark": "x"}, "field 'remark' unknown"),
    ],
)
def test_an_error_names_the_line_and_the_field(tmp_path, change, message):
    path = tmp_path / "lines.jsonl"
    path.write_text(json.dumps(to_json(PAIR)) + "\n\n" + json.dumps({**to_json(PAIR), **change}) + "\n")
    with pytest.raises(ValueError, match=f"lines.jsonl' line 3: .*{message}"):
        read_annotations(path)


def test_a_preference_needs_two_forms():
    with pytest.raises(ValueError, match="there is one form"):
        from_json({**to_json(SINGLE), "better": "a"})


def test_a_broken_line_and_a_missing_file_are_named(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text("{")
    with pytest.raises(ValueError, match="line 1: not JSON"):
        read_annotations(path)
    with pytest.raises(FileNotFoundError, match="none.jsonl' not found"):
        read_annotations(tmp_path / "none.jsonl")
