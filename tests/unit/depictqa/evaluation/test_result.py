from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PIL import Image

from depictqa.evaluation.result import Result, make_result, read_results, write_results
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Distortion, Sample, Slot, Task, Truth, Turn

RESULT = Result(
    key="tiny/0/1",
    task=Task.COMPARISON,
    benchmark="comparison",
    model="depictqa",
    full_reference=True,
    question="Which is better?",
    prediction="Image A\u2028\n« sharper »",
    target="Image A",
    confidence=0.75,
    parsed="a",
    scores={"a": 30.5, "b": 20.0},
    truth={"better": "a"},
)


def test_results_survive_the_file(tmp_path):
    path = tmp_path / "results" / "comparison.jsonl"
    results = [
        RESULT,
        replace(
            RESULT, key="tiny/0/3", judgements={"relative": {"j": {"score": 1.0, "grades": [8, 9], "reply": "8 9"}}}
        ),
        replace(RESULT, key="tiny/0/2", confidence=None, parsed=None, reason="no image is named"),
    ]
    write_results(path, results)
    assert read_results(path) == results
    assert len(path.read_text(encoding="utf-8").rstrip("\n").split("\n")) == 3
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "comparison.jsonl"
    write_results(path, [RESULT])

    def breaks():
        yield RESULT
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_results(path, breaks())
    assert read_results(path) == [RESULT]
    assert list(tmp_path.iterdir()) == [path]


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="tiny/0/1.*infinite"):
        replace(RESULT, confidence=float("inf")).to_line()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.pop("key"), "no field 'key'"),
        (lambda r: r.update(extra=1), "unknown field 'extra'"),
        (lambda r: r.update(task="telepathy"), "unknown task 'telepathy'"),
        (lambda r: r.update(confidence="high"), "field 'confidence' of the wrong type, str"),
        (
            lambda r: r.update(judgements={"relative": {"j": {"score": "high", "grades": None}}}),
            "field 'judgements' of",
        ),
        (lambda r: r.update(judgements={"relative": {"j": {"score": 0.5}}}), "field 'judgements' of the wrong type"),
        (lambda r: r.update(full_reference="yes"), "field 'full_reference' of the wrong type"),
    ],
)
def test_a_bad_line_is_named_in_one_line(tmp_path, change, says):
    record = json.loads(RESULT.to_line())
    change(record)
    path = tmp_path / "comparison.jsonl"
    path.write_text(RESULT.to_line() + "\n" + json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=says) as caught:
        read_results(path)
    assert "line 2" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cut_line_and_a_missing_file(tmp_path):
    path = tmp_path / "comparison.jsonl"
    path.write_text(RESULT.to_line()[:40])
    with pytest.raises(ValueError, match="line 1 is no JSON"):
        read_results(path)
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl"):
        read_results(tmp_path / "nowhere.jsonl")


def test_a_sample_brings_its_truth():
    form = Questionnaire(noise=Level.SEVERE, overall=Overall.SEVERE)
    truth = Truth(Slot.B, 0.8, {Slot.A: (Distortion("noise", "gaussian_noise_rgb", 4),)}, {Slot.A: form})
    image = Image.new("RGB", (8, 8))
    sample = Sample("k", Task.COMPARISON, {Slot.A: image, Slot.B: image}, (Turn("Which?", "Image B"),), truth)
    result = make_result(sample, "comparison", "depictqa", "Image A", parsed="a")
    assert (result.full_reference, result.question, result.target) == (False, "Which?", "Image B")
    assert result.truth["better"] == "b" and result.truth["vote"] == 0.8
    assert result.truth["distortions"] == {"a": [{"name": "noise", "function": "gaussian_noise_rgb", "severity": 4}]}
    assert result.truth["questionnaires"]["a"]["noise"] == "severe"
    assert "texture" not in result.truth["questionnaires"]["a"]
    assert Result.from_line(result.to_line()) == result
