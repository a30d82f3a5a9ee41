from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from depictqa.evaluation.evaluate import score_folder, write_metrics
from depictqa.evaluation.result import Result, write_results
from depictqa.evaluation.score import flat_metrics, score, score_all
from depictqa.evaluation.table import results_table
from depictqa.sample import Task

ONE = Result("k", Task.COMPARISON, "comparison", "depictqa", True, "q", "p", "t", truth={"better": "a"})
FORM = {"brightness": "undistorted", "color": "undistorted", "noise": "severe", "artifacts": "undistorted",
        "blur": "undistorted", "overall": "severe"}  # fmt: skip


def picks(*better, **change):
    return [replace(ONE, parsed=b and {"better": b}, reason=None if b else "no", **change) for b in better]


def test_comparisons_with_and_without_reference_apart():
    got = score([*picks("a", "b"), *picks("a", None, full_reference=False)])
    assert got["accuracy"] == 0.5 and got["accuracy_parsed"] == pytest.approx(2 / 3) and got["share_parsed"] == 0.75
    assert got["full_reference/accuracy"] == 0.5 and got["no_reference/accuracy_parsed"] == 1
    assert (got["n"], got["full_reference/n"], got["no_reference/n"]) == (4, 2, 2)


def test_words_that_pick_neither_are_parsed_and_wrong_while_a_metrics_tie_counts_half():
    assert score(picks("neither"))["accuracy_parsed"] == 0
    assert score(picks("tie"))["accuracy"] == 0.5


def test_scores_count_whatever_the_words_say():
    results = picks("b", None, scores={"a": 0.9, "b": 0.1}) + picks("a", scores={"a": 0.5, "b": 0.5})
    got = score(results)
    assert got["score_accuracy"] == pytest.approx(2.5 / 3) and got["accuracy"] == pytest.approx(1 / 3)


def test_content_by_its_words_beside_those_of_another_image():
    def content(prediction, target):
        return replace(ONE, task=Task.CONTENT, prediction=prediction, target=target, truth={})

    got = score([content("a red flower", "a red flower"), content("a cat", "the cat"), content("noise", "")])
    assert got["rouge_l"] == pytest.approx((1 + 1 / 2) / 2) and got["rouge_l_chance"] == pytest.approx((0 + 2 / 5) / 2)
    assert got["n"] == 3 and got["text/vocabulary"] == 5 and "share_parsed" not in got
    alone = score([content("a red flower", "a red flower")])
    assert alone["rouge_l"] == 1 and "rouge_l_chance" not in alone


def test_descriptions_field_by_field():
    truth = {
        "questionnaires": {"b": FORM},
        "distortions": {"b": [{"name": "noise", "function": "f", "severity": 4}]},
    }
    target = "The image is severely noisy. Everything else is fine. Overall, it is severely distorted."
    result = replace(
        ONE, task=Task.DESCRIPTION, benchmark="description", prediction="noisy", target=target, truth=truth
    )
    right = {"fields": {"b": FORM}, "distortions": {"b": ["noise"]}}
    wrong = {"fields": {"b": {"blur": "severe"}}, "distortions": {"b": ["blur"]}}
    got = score([replace(result, parsed=right), replace(result, parsed=wrong), replace(result, reason="no")])
    assert got["share_parsed"] == pytest.approx(2 / 3)
    assert got["field/noise"] == pytest.approx(1 / 3) and got["field_accuracy"] == pytest.approx(1 / 3)
    assert got["distortion_accuracy"] == pytest.approx(1 / 3)
    assert got["target/field_accuracy"] == 1 and got["target/distortion_accuracy"] == 1
    assert got["text/vocabulary"] == 1


def test_reasoning_scores_both_images_and_the_conclusion():
    clean = FORM | {"noise": "undistorted", "overall": "nearly undistorted"}
    truth = {"better": "b", "questionnaires": {"a": FORM, "b": clean},
             "distortions": {"a": [{"name": "noise", "function": "f", "severity": 4}], "b": []}}  # fmt: skip
    parsed = {
        "better": "b",
        "fields": {"a": FORM, "b": FORM},
        "distortions": {"a": ["noise"], "b": ["noise"]},
    }
    got = score([replace(ONE, task=Task.REASONING, benchmark="reasoning", truth=truth, parsed=parsed)])
    assert got["conclusion_accuracy"] == 1
    assert got["field/noise"] == 0.5 and got["field/blur"] == 1
    assert got["distortion_accuracy"] == 1 and got["clean_accuracy"] == 0


def test_confidence_of_answers_that_are_right_or_wrong_as_a_whole():
    got = score([*picks("a", confidence=0.97), *picks("b", "a", confidence=0.55), *picks(None)])
    assert got["confidence/accuracy_0.95-1"] == 1 and got["confidence/n_0.5-0.6"] == 2
    assert got["confidence/accuracy_0.5-0.6"] == 0.5 and got["confidence/ece"] == pytest.approx((0.03 + 2 * 0.05) / 3)
    assert not any(name.startswith("confidence") for name in score(picks("a", "b")))
    truth = {"distortions": {"a": [{"name": "noise", "function": "f", "severity": 4}]}}
    named = [{"distortions": {"a": ["noise"]}}, {"distortions": {"a": ["noise", "blur"]}}, None]
    results = [replace(ONE, task=Task.IDENTIFICATION, truth=truth, parsed=one, confidence=0.8) for one in named]
    assert score(results)["confidence/accuracy_0.7-0.8"] == pytest.approx(1 / 3)
    assert "confidence/ece" not in score([replace(results[0], task=Task.DESCRIPTION)])


def test_losses_are_averaged_over_samples_and_by_task():
    results = [
        replace(ONE, benchmark="loss", loss=1.0),
        replace(ONE, benchmark="loss", loss=4.0, task=Task.CONTENT),
    ]
    got = score([*results, replace(ONE, benchmark="loss", reason="cut")])
    assert got["loss"] == 2.5 and got["loss_content"] == 4.0 and got["n"] == 2


def test_a_table_is_made_again_from_the_files_alone(tmp_path):
    ours, psnr = picks("a", "b"), picks("a", "a", model="psnr")
    write_results(tmp_path / "results" / "comparison.jsonl", ours)
    write_results(tmp_path / "results" / "comparison.psnr.jsonl", psnr)
    scores = score_folder(tmp_path)
    assert scores == score_all([*ours, *psnr])
    flat = flat_metrics(scores)
    assert flat["test/comparison/accuracy"] == 0.5 and flat["test/comparison/psnr/accuracy"] == 1
    assert flat["test/comparison/full_reference/accuracy"] == 0.5
    console = Console(width=100)
    with console.capture() as shown:
        console.print(results_table(scores))
    line = next(line for line in shown.get().splitlines() if "psnr" in line)
    assert "100.0 %" in line and "-" in line
    write_metrics(tmp_path / "metrics.json", flat)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["metrics.json"]


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="results"):
        score_folder(tmp_path)


def test_identification_of_one_distortion_of_several_and_of_none():
    def named(true, said):
        truth = {"distortions": {"a": [{"name": one, "function": "f", "severity": 3} for one in true]}}
        return replace(ONE, task=Task.IDENTIFICATION, truth=truth, parsed={"distortions": {"a": said}})

    got = score([named(["blur"], ["blur"]), named(["blur", "noise"], ["noise"]), named([], []), named([], ["blur"])])
    assert got["single/distortion_accuracy"] == 1 and got["single/n"] == 1
    assert got["several/distortion_accuracy"] == 0 and got["several/distortion_overlap"] == 0.5
    assert got["clean/clean_accuracy"] == 0.5 and got["clean/n"] == 2
    assert got["distortion_overlap"] == 0.75
    assert got["distortion_overlap_low"] == 0.5 and got["distortion_overlap_high"] == 1
    assert "single/n" not in score([replace(ONE, task=Task.DESCRIPTION, truth={"distortions": {"a": []}})])
