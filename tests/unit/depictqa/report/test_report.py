"""The tables: every measured number is the scorer's, and every published one stands in a row of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depictqa.evaluation.result import Result, write_results
from depictqa.evaluation.score import FULL, NONE
from depictqa.report import published
from depictqa.report.correlations import correlation_table
from depictqa.report.report import confidence_plots, tables
from depictqa.report.runs import Measured, read_runs
from depictqa.report.table import MARK, Table
from depictqa.report.tasks import judge_cell, reference_table, task_table
from depictqa.sample import Task

TESTS = Path(__file__).parents[3]
ONE = Result("k", Task.COMPARISON, "bapps", "depictqa", True, "q", "p", "t")


@pytest.fixture(scope="module")
def measured(write_run, tmp_path_factory) -> list[Measured]:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return read_runs([folder])


@pytest.fixture(scope="module")
def made(measured) -> dict[str, Table]:
    return {table.name: table for table in tables(measured)}


def of(measured, benchmark, model="depictqa") -> Measured:
    return next(one for one in measured if (one.benchmark, one.model) == (benchmark, model))


def cells(table: Table, *head: str) -> dict:
    (row,) = (row for row in table.rows if not row.published and row.head == head)
    return dict(zip((column.full_name for column in table.columns), row.cells, strict=True))


def is_figure(cell, figures, name, n=None) -> bool:
    low, value, high = (100 * figures[f"{name}{end}"] for end in ("_low", "", "_high"))
    assert low <= value <= high
    return (cell.value, cell.low, cell.high, cell.n) == (value, low, high, int(figures.get(f"{name}_n", n or -1)))


def test_all_tables_are_there_each_with_its_counts(made):
    names = ["votes_bapps", "votes_bapps_further", "tasks", "references", "identification", "confidence", "texts"]
    assert list(made) == [*names, "results"]
    for name in names:
        assert sum("results; 0 with an error, " in note for note in made[name].notes) == 1


def test_votes_are_those_of_the_scorer(measured, made):
    for name, subsets in (("votes_bapps", ("traditional", "cnn")), ("votes_bapps_further", ("color", "overall"))):
        for subset in subsets:
            for where, word in ((FULL, "with"), (NONE, "without")):
                for kind, said in (("answer", "answer"), ("scores", "A or B")):
                    row = cells(made[name], f"DepictQA, {said}", word)
                    start = f"{where}/votes/{subset}/{kind}"
                    figures = of(measured, "bapps").figures
                    assert is_figure(row[f"{subset}: 2AFC"], figures, f"{start}/two_afc")
                    assert is_figure(row[f"{subset}: majority"], figures, f"{start}/majority_accuracy")
            psnr = cells(made[name], "PSNR", "with")[f"{subset}: 2AFC"]
            start = f"full_reference/votes/{subset}/scores/two_afc"
            assert is_figure(psnr, of(measured, "bapps", "psnr").figures, start)
            human = cells(made[name], "human (leave one out)", "")[f"{subset}: 2AFC"]
            largest = max((FULL, NONE), key=lambda w: of(measured, "bapps").figures[f"{w}/votes/{subset}/n"])
            start = f"{largest}/votes/{subset}/human_leave_one_out"
            assert is_figure(human, of(measured, "bapps").figures, start)


def test_tasks_references_and_identification_are_those_of_the_scorer(measured, made):
    row = cells(made["tasks"], "DepictQA", "with")
    figures = of(measured, "comparison").of(Task.COMPARISON, FULL)
    assert is_figure(row["comparison: over all"], figures, "accuracy", figures["n"])
    assert is_figure(row["comparison: over parsed"], figures, "accuracy_parsed", figures["n"] * figures["share_parsed"])
    assert row["comparison: parsed"].value == 100 * figures["share_parsed"] < 100
    assert is_figure(
        row["description: fields"], of(measured, "description").of(Task.DESCRIPTION, FULL), "field_accuracy"
    )
    reasoning = of(measured, "reasoning").of(Task.REASONING, FULL)
    assert is_figure(row["reasoning: conclusion"], reasoning, "conclusion_accuracy", reasoning["conclusion_n"])
    both = cells(made["references"], "DepictQA", "rating", "accuracy")
    for where, column in ((FULL, "with reference"), (NONE, "without")):
        rating = of(measured, "rating").of(Task.RATING, where)
        assert is_figure(both[column], rating, "accuracy", rating["n"])
        row = cells(made["identification"], "DepictQA", "with" if where == FULL else "without")
        named = of(measured, "identification").of(Task.IDENTIFICATION, where)
        assert is_figure(row["several distortions: overlap"], named, "several/distortion_overlap")
        assert is_figure(row["one distortion: exact"], named, "single/distortion_accuracy")
        assert is_figure(row["rating: accuracy"], rating, "accuracy", rating["n"])
    assert not any("PSNR" in row.head for row in made["references"].rows)  # it was only asked with one


def test_confidence_and_texts_are_those_of_the_scorer(measured, made):
    row = cells(made["confidence"], "DepictQA", "comparison", "")
    figures = of(measured, "comparison").figures
    assert (row["calibration: ECE"].value, row["calibration: AURC"].value) == (
        figures["confidence/ece"],
        figures["confidence/aurc"],
    )
    bin_of = row["accuracy at confidence: 0.8-0.9"]
    assert is_figure(bin_of, figures, "confidence/accuracy_0.8-0.9", figures["confidence/n_0.8-0.9"])
    text = cells(made["texts"], "DepictQA", "description")
    assert text["mean words"].value == of(measured, "description").figures["text/mean_words"]
    plots = confidence_plots(measured)
    assert {name for name, *_ in plots} >= {"reliability_comparison", "risk_coverage_identification"}
    assert all(png.startswith(b"\x89PNG") for *_, png in plots)


def test_a_single_answer_has_no_curve_and_no_empty_plot(measured):
    whole = of(measured, "comparison")
    single, two = (replace(whole, results=whole.results[:num]) for num in (1, 2))
    assert [name for name, *_ in confidence_plots([single])] == ["reliability_comparison"]
    assert [name for name, *_ in confidence_plots([two])] == ["reliability_comparison", "risk_coverage_comparison"]


def test_published_numbers_are_in_rows_of_their_own_and_only_there(made):
    known = {value for row in (*published.VOTES["bapps"], *published.TASKS, *published.REFERENCES)
             for value in row.values.values()}  # fmt: skip
    num = 0
    for table in made.values():
        assert any(MARK in note for note in table.notes) == any(row.published for row in table.rows)
        for row in table.rows:
            if row.published:
                num += 1
                assert all(c.value is None or (c.value in known and c.n is c.low is c.high is None) for c in row.cells)
            else:
                assert all(cell.value != "fail" for cell in row.cells)
                assert all(c.value is None or (c.n and c.low is not None) for c in row.cells) or table.name not in (
                    "votes_bapps", "votes_bapps_further", "references", "identification"
                )  # fmt: skip
    assert num == 10 + 7 + 3
    rows = made["votes_bapps"].rows
    place = [row.full_head[0] for row in rows].index("LPIPS †")
    assert rows[place - 1].head[0] == "LPIPS" and [c.value for c in rows[place].cells] == [76.0, None, 82.8, None]


def test_no_table_is_made_of_published_rows_alone(tmp_path):
    write_results(tmp_path / "results" / "loss.jsonl", [replace(ONE, benchmark="loss", loss=1.5)])
    (table,) = tables(read_runs([tmp_path]))
    assert table.name == "results" and table.rows[0].cells[-1].value == 1.5


def test_published_rows_stand_only_beside_measured_ones_of_their_task(measured):
    votes, rating = (reference_table([of(measured, name)]) for name in ("bapps", "rating"))
    both = reference_table([of(measured, "comparison"), of(measured, "rating")])
    assert votes is not None and rating is not None and both is not None
    assert not any(row.published for table in (votes, rating) for row in table.rows)
    assert [row.head[:2] for row in both.rows if row.published] == [("DepictQA", "comparison")]


def test_lpips_on_the_real_votes_has_the_known_figures(tmp_path):
    distances = np.load(TESTS / "unit/depictqa/evaluation/lpips_bapps.npz")
    votes = np.load(TESTS / "unit/datamodules/sources/bapps_judgements.npz")
    results = [
        replace(
            ONE,
            key=f"{subset}-{stem}",
            model="lpips",
            subset=subset,
            scores={"a": -float(d0), "b": -float(d1)},
            truth={"vote": float(vote) / 5, "num_votes": 5},
        )  # fmt: skip
        for subset in distances
        for stem, ((d0, d1), vote) in enumerate(zip(distances[subset], votes[f"val_{subset}"], strict=True))
    ]
    write_results(tmp_path / "results" / "bapps.lpips.jsonl", results)
    table = tables(read_runs([tmp_path]))[0]
    lpips, human = (cells(table, *head) for head in (("LPIPS", "with"), ("human (plug-in)", "")))
    for row, name, values in (
        (lpips, "2AFC", [77.48, 82.87]), (lpips, "majority", [81.95, 87.26]), (human, "2AFC", [80.84, 84.35])
    ):  # fmt: skip
        assert [round(row[f"{subset}: {name}"].value, 2) for subset in ("traditional", "cnn")] == values
    assert lpips["cnn: 2AFC"].n == 4720


def test_a_judges_score_has_its_place_once_results_have_one(measured):
    figures = {"judge_score": 0.8, "judge_score_low": 0.7, "judge_score_high": 0.9, "judge_n": 45.0, "n": 50.0}
    assert judge_cell(figures).text == "80.0 [70.0, 90.0] n=45" and judge_cell({"n": 5.0}).value is None
    one = of(measured, "description")
    judged = replace(one, figures=one.figures | {f"full_reference/{name}": v for name, v in figures.items()})
    table = task_table([judged])
    assert table is not None and cells(table, "DepictQA", "with")["description: judge"].value == 80


def test_correlations_are_found_by_name(measured):
    figures = {
        "full_reference/wins/srcc": 0.7, "full_reference/wins/plcc": 0.71, "full_reference/wins/n": 80.0,
        "full_reference/wins/per_reference/srcc": 0.9, "full_reference/wins/per_reference/plcc": 0.91,
        "full_reference/wins/per_reference/n": 16.0, "levels/srcc": 0.5,
    }  # fmt: skip
    one = replace(of(measured, "comparison"), benchmark="votes_kadid", figures=figures)
    table = correlation_table([one])
    assert table is not None and len(table.rows) == 2
    row = cells(table, "DepictQA", "votes_kadid", "wins", "with")
    assert [c.number for c in row.values()] == ["0.900", "0.910", "0.700", "0.710"] and [c.n for c in row.values()] == [
        16,
        16,
        80,
        80,
    ]
    row = cells(table, "DepictQA", "votes_kadid", "levels", "")
    assert row["whole set: SRCC"].value == 0.5 and row["per reference: SRCC"].value is None
    assert task_table([one]) is None  # it is no set of brief comparisons beside the paper's
