from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from depictqa.baselines.answers import MISSING, Answers
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.questions import write_questions
from depictqa.evaluation.result import make_result, write_results
from depictqa.sample import Slot, Task
from depictqa.testing import make_sample, mixed_samples


def written(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_questions_go_out_and_answers_come_in(tmp_path: Path) -> None:
    samples = [make_sample(key=f"pair{n}", seed=n) for n in range(3)]
    questions = [json.loads(line) for line in write_questions(samples, tmp_path).read_text().splitlines()]
    answers = [{"key": q["key"], "prediction": "Image B is better."} for q in questions[::-1]]
    answerer = Answers(written(tmp_path / "minigpt4.jsonl", *answers))
    answerer.check()
    assert answerer.name == "minigpt4"
    assert answerer.cover(samples) == 3
    results = Questions("comparison", samples).ask(answerer, samples)
    assert [result.parsed for result in results] == [{"better": "b"}] * 3
    assert {result.model for result in results} == {"minigpt4"}


def test_whole_results_are_read_anew_and_keep_their_confidence(tmp_path: Path) -> None:
    samples = mixed_samples()[:4]
    for sample in samples:
        result = make_result(sample, str(sample.task), "other", "Image A", confidence=0.25, parsed={"better": "b"})
        with open(tmp_path / f"{sample.key}.jsonl", "w") as file:
            file.write(result.to_line() + "\n")
    answerer = Answers(tmp_path)
    assert answerer.name == "other"
    assert answerer.cover(samples) == 4
    replies = answerer.answer(samples)
    assert [(reply.text, reply.confidence, reply.parsed) for reply in replies] == [("Image A", 0.25, None)] * 4


def test_one_key_with_and_without_a_reference(tmp_path: Path) -> None:
    plain = make_sample(key="k")
    full = make_sample(key="k", sizes=dict.fromkeys((Slot.REFERENCE, Slot.A, Slot.B), (32, 32)))
    described = make_sample(Task.DESCRIPTION, key="k")
    path = written(
        tmp_path / "x.jsonl",
        {"key": "k", "prediction": "plain", "task": "comparison", "full_reference": False},
        {"key": "k", "prediction": "full", "task": "comparison", "full_reference": True},
    )
    texts = [reply.text for reply in Answers(path).answer([full, plain, described])]
    assert texts == ["full", "plain", ""]
    assert Answers(path).tasks == {Task.COMPARISON}
    assert Answers(written(tmp_path / "y.jsonl", {"key": "k", "prediction": "any"})).tasks is None


def test_what_has_no_answer_counts_as_wrong_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = [make_sample(key=f"pair{n}") for n in range(3)]
    answerer = Answers(
        written(tmp_path / "x.jsonl", {"key": "pair1", "prediction": "A"}, {"key": "?", "prediction": "B"})
    )
    with caplog.at_level(logging.WARNING):
        assert answerer.cover(samples) == 1
    assert "2 of 3 samples have no answer" in caplog.text
    assert "1 keys are not asked for, such as '?'" in caplog.text
    first, second, _ = Questions("comparison", samples).ask(answerer, samples)
    assert (first.parsed, first.error, first.prediction) == (None, MISSING, "")
    assert second.parsed == {"better": "a"}


def test_another_benchmark_s_file(tmp_path: Path) -> None:
    answerer = Answers(written(tmp_path / "x.jsonl", {"key": "elsewhere", "prediction": "A"}))
    with pytest.raises(ValueError, match=r"another benchmark.*'elsewhere'.*'made'"):
        answerer.cover([make_sample()])
    write_results(tmp_path / "y.jsonl", [make_result(make_sample(question="What is there?"), "c", "m", "A")])
    with pytest.raises(ValueError, match=r"line 1 answers another question of 'made'.*What is there"):
        Answers(tmp_path / "y.jsonl").answer([make_sample()])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('{"key": "a", "prediction": "A"}\n\n{"key": "a", "prediction": "B"}', "line 3 answers 'a' again, as .*line 1"),
        ('{"key": "a"}', "line 1: has no 'key' and 'prediction'"),
        ('["a"]', "line 1: has no 'key' and 'prediction'"),
        ("key,prediction", "line 1: is no JSON"),
        ('{"key": 3, "prediction": "A"}', "line 1: has a field 'key' of the wrong type, int"),
        ('{"key": "a", "prediction": "A", "task": "guess"}', "line 1: has an unknown task 'guess'"),
        ('{"key": "a", "prediction": "A", "answer": "A"}', "line 1: has an unknown field 'answer'"),
        ("\n", "hold no line"),
        ('{"key": "a", "prediction": "A", "model": "depictqa"}', r"are of depictqa; .*baseline\.answers\.name=NAME"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: str, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(lines)
    with pytest.raises(ValueError, match=words) as found:
        Answers(path).check()
    assert "\n" not in str(found.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'lamm' needs a file.*baseline\.lamm\.path"):
        Answers(None, "lamm").check()
    with pytest.raises(FileNotFoundError, match=r"'lamm': no file or folder"):
        Answers(tmp_path / "x", "lamm").check()
    with pytest.raises(FileNotFoundError, match=r"no \*\.jsonl in folder"):
        Answers(tmp_path, "lamm").check()
