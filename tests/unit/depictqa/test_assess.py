from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from depictqa.assess import QUESTIONS, Assessment, Assessor
from depictqa.sample import Task
from depictqa.testing import random_image, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def assessor(tmp_path_factory):
    return Assessor(tiny_model(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))), max_new_tokens=4)


def test_any_size_mode_and_format_is_taken(assessor, tmp_path):
    images = {
        "grey.png": random_image((300, 20)).convert("L"),
        "alpha.webp": random_image((31, 77)).convert("RGBA"),
        "palette.gif": random_image((5, 5)).convert("P"),
        "deep.tiff": Image.fromarray(np.full((40, 50), 40_000, dtype=np.uint16)),
        "cmyk.jpg": random_image((64, 64)).convert("CMYK"),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
        found = assessor.describe(tmp_path / name)
        assert found.images == {"a": str(tmp_path / name)} and found.sizes["a"] == image.size
    assert assessor.describe(random_image()).images == {"a": "image"}


def test_a_pair_is_compared_and_explained(assessor):
    a, b, reference = (random_image(seed=seed) for seed in range(3))
    brief, reasons = assessor.compare(a, b, reference), assessor.explain(a, b, reference, "Why?")
    assert 0 <= brief.probability_of_a <= 1 and reasons.probability_of_a == pytest.approx(brief.probability_of_a)
    assert brief.better == ("a" if brief.probability_of_a >= 0.5 else "b")
    assert brief.question == QUESTIONS[Task.COMPARISON] and reasons.question == "Why?"
    assert list(brief.images) == ["reference", "a", "b"]
    assert assessor.compare(a, b).probability_of_a != brief.probability_of_a  # the reference is seen


def test_text_and_json_say_the_same(assessor):
    found = Assessment(
        Task.REASONING, "Which?", "Image A is noisy, so Image B is better.", {"a": "x.png", "b": "y.png"}, 0.5, 0.25,
        {"better": "b", "fields": {"a": {"noise": "severe", "texture_damage": "mild"}, "b": {}}}, None,
        {"a": (3, 4), "b": (3, 4)},
    )  # fmt: skip
    assert str(found).splitlines() == [
        "Image A is noisy, so Image B is better.",
        "better: Image B (75 %)",
        "image A: noise severe, texture damage mild",
    ]
    otherwise = replace(found, probability_of_a=0.75)
    assert "better: asked in a word, other than in the text: Image A (75 %)" in otherwise.to_text()
    record = json.loads(found.to_json())
    assert record["better"] == "b" and record["probability_of_a"] == 0.25
    assert record["images"]["a"] == {"name": "x.png", "size": [3, 4]}
    one = json.loads(assessor.describe(random_image()).to_json())
    assert set(one) == set(record) and one["better"] is None and one["probability_of_a"] is None


def test_bad_images_and_questions_are_named(assessor, tmp_path, monkeypatch):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        assessor.describe(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="broken.png"):
        assessor.describe(tmp_path / "broken.png")
    with pytest.raises(ValueError, match="folder"):
        assessor.describe(tmp_path)
    with pytest.raises(ValueError, match="question is empty"):
        assessor.describe(random_image(), question=" ")
    random_image((64, 64)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.raises(ValueError, match="large.png.*pixels"):
        assessor.describe(tmp_path / "large.png")
