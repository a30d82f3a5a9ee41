from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depictqa.evaluation.questions import write_questions
from depictqa.sample import Slot, Turn
from depictqa.testing import make_sample, mixed_samples


def test_questions_and_images_are_those_of_the_samples(tmp_path: Path) -> None:
    samples = mixed_samples()
    path = write_questions(samples, tmp_path / "out")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["key"] for line in lines] == [sample.key for sample in samples]
    for line, sample in zip(lines, samples, strict=True):
        assert line["task"] == sample.task
        assert line["full_reference"] is sample.full_reference
        assert line["question"] == sample.dialogue[-1].question
        assert len(line["images"]) == len(sample.images)
    assert list(lines[1]["images"]) == ["Reference Image", "Image A", "Image B"]
    assert list(lines[2]["images"]) == ["Image"]
    for name, slot in (("Reference Image", Slot.REFERENCE), ("Image B", Slot.B)):
        written = Image.open(path.parent / lines[1]["images"][name])
        assert np.array_equal(np.asarray(written), np.asarray(samples[1].images[slot]))


def test_no_answer_gets_out(tmp_path: Path) -> None:
    sample = replace(make_sample(key="a/../b c"), dialogue=(Turn("<image>\nWhich?", "the secret"),))
    path = write_questions([sample], tmp_path)
    assert "secret" not in path.read_text()
    (line,) = map(json.loads, path.read_text().splitlines())
    assert line["question"] == "Which?"
    assert line["key"] == "a/../b c"
    assert all((tmp_path / image).is_file() for image in line["images"].values())


def test_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no samples"):
        write_questions([], tmp_path)
