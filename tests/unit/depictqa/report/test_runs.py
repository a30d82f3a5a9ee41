from __future__ import annotations

from dataclasses import replace

import pytest

from depictqa.evaluation.result import Result, read_results, write_results
from depictqa.evaluation.score import FULL, NONE, score_all
from depictqa.report.runs import counts_note, read_runs, run_names
from depictqa.sample import Task

ONE = Result("k", Task.COMPARISON, "comparison", "depictqa", True, "q", "p", "t", truth={"better": "a"})
RIGHT = replace(ONE, parsed={"better": "a"})


def test_figures_are_the_scorers_of_each_run(tmp_path, write_run):
    for seed in (1, 2):
        write_run(tmp_path / "mix" / f"seed_{seed}", seed)
    found = read_runs([tmp_path])
    assert {one.run for one in found} == {"seed_1", "seed_2"}
    for seed in (1, 2):
        files = sorted((tmp_path / "mix" / f"seed_{seed}" / "results").glob("*.jsonl"))
        scores = score_all(result for file in files for result in read_results(file))
        ours = {(one.benchmark, one.model): one.figures for one in found if one.run == f"seed_{seed}"}
        assert ours == scores


def test_an_only_run_has_no_name_and_overlapping_folders_count_once(tmp_path):
    write_results(tmp_path / "a" / "results" / "comparison.jsonl", [RIGHT])
    assert [(one.run, len(one.results)) for one in read_runs([tmp_path, tmp_path / "a"])] == [("", 1)]
    write_results(tmp_path / "a" / "b" / "results" / "comparison.jsonl", [RIGHT])
    assert sorted(one.run for one in read_runs([tmp_path])) == ["a", "a/b"]


def test_jobs_of_a_sweep_stand_by_their_number(tmp_path):
    for name in ("10", "0", "2", "b"):
        write_results(tmp_path / name / "results" / "comparison.jsonl", [RIGHT])
    assert [one.run for one in read_runs([tmp_path])] == ["b", "0", "2", "10"]
    assert list(run_names([tmp_path]).values()) == ["b", "0", "2", "10"]


def test_figures_of_a_task_whatever_else_the_benchmark_asks(tmp_path):
    more = [replace(RIGHT, key="2", full_reference=False), replace(RIGHT, key="3", task=Task.RATING)]
    write_results(tmp_path / "results" / "x.jsonl", [RIGHT, *more])
    (one,) = read_runs([tmp_path])
    assert one.of(Task.COMPARISON)["n"] == 2 and one.of(Task.RATING, FULL)["accuracy"] == 1
    assert one.of(Task.COMPARISON, NONE)["n"] == 1 and one.of(Task.RATING, NONE) == {}


def test_errors_and_unread_answers_are_counted_apart(tmp_path):
    write_results(tmp_path / "results" / "comparison.jsonl", [RIGHT, replace(ONE, key="2"), replace(ONE, key="3")])
    (one,) = read_runs([tmp_path])
    assert (one.num_errors, one.num_unparsed) == (0, 2)
    failed = replace(one, results=(*one.results, replace(ONE, key="4", error="no image")))
    assert (failed.num_errors, failed.num_unparsed) == (1, 2)
    assert counts_note([failed]) == "4 results; 1 with an error, 2 others not parsed."
    assert counts_note([one, failed]).endswith("depictqa on comparison 0 and 2, depictqa on comparison 1 and 2.")


def test_one_answer_twice_is_said_with_both_files(tmp_path):
    write_results(tmp_path / "results" / "comparison.jsonl", [RIGHT])
    write_results(tmp_path / "results" / "copy.jsonl", [RIGHT])
    with pytest.raises(
        ValueError, match=r"'k' of depictqa on comparison stands in '.*comparison.jsonl' and in '.*copy"
    ):
        read_runs([tmp_path])
    write_results(tmp_path / "results" / "copy.jsonl", [replace(RIGHT, model="psnr")] * 2)
    with pytest.raises(ValueError, match=r"of psnr on comparison stands twice in '.*copy.jsonl'"):
        read_runs([tmp_path])


def test_missing_folders_results_and_broken_lines_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'.*nowhere' not found.*\(runs\)"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match=r"has no results/\*.jsonl"):
        read_runs([tmp_path])
    file = tmp_path / "results" / "comparison.jsonl"
    write_results(file, [])
    with pytest.raises(FileNotFoundError, match="every file is empty"):
        read_runs([tmp_path])
    file.write_text(RIGHT.to_line() + '\n{"key": 1\n')
    with pytest.raises(ValueError, match=r"comparison.jsonl', line 2 is no JSON"):
        read_runs([tmp_path])
