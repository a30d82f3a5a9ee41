"""Annotations and their texts as the detailed source: the right texts, with and without reference, and true forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from datamodules.annotations import Annotation, write_annotations
from datamodules.building import build
from datamodules.indexed import IndexedShards
from datamodules.parts import Rejected
from datamodules.sources.questionnaires import parts
from datamodules.writers.check import disagreements
from datamodules.writers.drafts import items_of, write_by_rule, write_drafts
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Slot, Task

NOISY = Questionnaire(noise=Level.SEVERE, overall=Overall.SEVERE, texture="Faces", texture_damage=Level.SEVERE)
MILD = Questionnaire(blur=Level.MILD, overall=Overall.MILD, texture="Faces", texture_damage=Level.MILD)


def annotations() -> list[Annotation]:
    pairs = [
        Annotation(
            f"p{n}",
            "ada",
            {Slot.REFERENCE: f"img/r{n}.png", Slot.A: f"img/a{n}.png", Slot.B: f"img/b{n}.png"},
            {Slot.A: NOISY, Slot.B: MILD},
            better=Slot.B,
        )
        for n in range(10)
    ]
    singles = [Annotation(f"s{n}", "ada", {Slot.A: f"img/a{n}.png"}, {Slot.A: MILD}) for n in range(10, 20)]
    return pairs + singles


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    (folder / "img").mkdir(parents=True)
    for number, name in enumerate(name for one in annotations() for name in one.images.values()):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    write_annotations(folder / "annotations.jsonl", annotations())
    return folder


def built(raw, out, **options):
    build(parts(raw, 0, **options), out, seed=0)
    return {
        path.parent.name: list(IndexedShards(out / "detailed", path.parent.name))
        for path in out.glob("*/*/manifest.json")
    }


def test_texts_by_rule_where_none_are_given(raw, tmp_path):
    found = built(raw, tmp_path / "out", val=0.1, test=0.2)
    assert {split: len({sample.key.rsplit("/", 1)[0] for sample in samples}) for split, samples in found.items()} == {
        "train": 14, "val": 2, "test": 4,
    }  # fmt: skip
    samples = [sample for split in found.values() for sample in split]
    assert len(samples) == 10 * 2 + 10
    for sample in samples:
        assert sample.task is (Task.REASONING if Slot.B in sample.images else Task.DESCRIPTION)
        assert sample.truth.questionnaires[Slot.A] == (NOISY if Slot.B in sample.images else MILD)
        one = Annotation(
            "x", "x", {slot: "x" for slot in sample.images}, sample.truth.questionnaires, sample.truth.better
        )
        assert disagreements(sample.dialogue[0].answer, one) == ()
    assert sum(sample.full_reference for sample in samples) == 10


def test_written_drafts_are_taken_and_the_others_left(raw, tmp_path):
    drafts = list(write_by_rule(items_of(annotations(), 0)))
    write_drafts(raw / "drafts.jsonl", drafts)
    lines = (raw / "drafts.jsonl").read_text().splitlines()
    refused = json.loads(lines[0]) | {"outcome": "refused", "text": ""}
    (raw / "drafts.jsonl").write_text("\n".join([json.dumps(refused), *lines[1:]]))
    found = built(raw, tmp_path / "out", val=0, test=0)["train"]
    assert len(found) == 30 - 2
    assert {sample.dialogue[0].answer for sample in found} == {draft.text for draft in drafts[1:]}


def test_revised_texts_stand_before_drafts(raw, tmp_path):
    write_drafts(raw / "drafts.jsonl", list(write_by_rule(items_of(annotations(), 0))))
    line = {"task": "description", "question": "How is it?", "draft": "x", "annotator": "bob"}
    revised = [
        line | {"key": "s10", "text": "Good as it was.", "verdict": "accepted"},
        line | {"key": "s11", "text": "Better now.", "verdict": "edited"},
        line | {"key": "s12", "text": "Wrong.", "verdict": "rejected"},
        line | {"key": "gone", "text": "Of what?", "verdict": "accepted"},
    ]
    (raw / "revised.jsonl").write_text("".join(json.dumps(value) + "\n" for value in revised))
    (part,) = parts(raw, 0, val=0, test=0)
    (rejected,) = (item for item in part.items if isinstance(item, Rejected))
    assert "line 4" in rejected.name and "item 'gone' is not in annotations.jsonl" in rejected.reason
    build([part], tmp_path / "out", seed=0, max_rejected=0.5)
    found = list(IndexedShards(tmp_path / "out/detailed", "train"))
    assert [sample.dialogue[0].answer for sample in found] == ["Good as it was.", "Better now."]
    assert all(sample.truth.questionnaires == {Slot.A: MILD} for sample in found)


def test_a_form_of_which_the_text_does_not_tell_whose_it_is_stays_open(raw, tmp_path):
    two = [
        Annotation(one.key, name, one.images, one.forms, one.better) for one in annotations() for name in ("ada", "eve")
    ]
    write_annotations(raw / "annotations.jsonl", two)
    line = {"key": "s10", "task": "description", "question": "How?", "draft": "x", "annotator": "bob"}
    (raw / "revised.jsonl").write_text(json.dumps(line | {"text": "Fine.", "verdict": "accepted"}))
    (sample,) = built(raw, tmp_path / "out", val=0, test=0)["train"]
    assert not sample.truth.questionnaires and sample.dialogue[0].answer == "Fine."
    (raw / "revised.jsonl").unlink()
    assert len(built(raw, tmp_path / "both", val=0, test=0)["train"]) == 60


def test_bad_lines_are_named(raw):
    (raw / "revised.jsonl").write_text('{"key": "s10", "verdict": "accepted", "task": "rating", "text": "x"}')
    with pytest.raises(ValueError, match="revised.jsonl' line 1: field 'task' is 'rating'; choose description"):
        parts(raw, 0)
    (raw / "revised.jsonl").write_text('{"key": "s10"}')
    with pytest.raises(ValueError, match="line 1: field 'verdict' is None"):
        parts(raw, 0)
    (raw / "revised.jsonl").write_text("")
    with pytest.raises(ValueError, match="holds no text to learn from"):
        parts(raw, 0)
    (raw / "annotations.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="annotations.jsonl' is missing; get it from program=annotate"):
        parts(raw, 0)
