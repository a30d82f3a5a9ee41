"""The table of just-noticeable differences: the scorer's numbers, and what they mean of whom."""

from __future__ import annotations

from depictqa.evaluation.result import Result, write_results
from depictqa.evaluation.runner import result_path
from depictqa.report.just_noticeable import jnd_table
from depictqa.report.report import tables
from depictqa.report.runs import of_scores, read_runs
from depictqa.sample import Task


def lines(model: str, **scores) -> list[Result]:
    fields = {"parsed": {"score": 0}, "subset": "cnn"}
    return [
        Result(f"cnn/{n}", Task.COMPARISON, "bapps_jnd", model, False, "?", "", "", truth={"same": same}, **fields,
               scores={"a": a} | ({"b": 1 - a} if model == "depictqa" else {}))
        for n, (same, a) in enumerate([(1.0, 0.55), (0.0, 0.9), (1.0, 0.8), (0.0, 0.99)])
    ]  # fmt: skip


def test_a_row_for_each_method_with_n_and_interval(tmp_path):
    for model in ("depictqa", "psnr"):
        write_results(result_path(tmp_path / "results", "bapps_jnd", model), lines(model))
    made = {table.name: table for table in tables(read_runs([tmp_path]))}
    assert set(made) == {"jnd", "results"}
    table = made["jnd"]
    psnr, ours = table.rows
    assert (psnr.head[0], ours.head[0]) == ("PSNR", "DepictQA")
    cell = ours.cells[0]
    assert cell.value == 100 and cell.n == 4 and cell.low <= cell.value <= cell.high
    assert psnr.cells[0].value < 60 and ours.cells[1].value == 50
    assert any("not the paper's" in note for note in table.notes) and "4 results" not in table.notes[-1]
    assert "8 results; 0 with an error" in table.notes[-1]


def test_without_a_model_that_compares_its_note_is_not_there():
    figures = {"jnd/cnn/map": 0.5, "jnd/cnn/n": 4.0, "jnd/overall/map": 0.5, "jnd/overall/n": 4.0}
    table = jnd_table(of_scores({("bapps_jnd", "psnr"): figures}))
    assert table is not None and len(table.notes) == 1
    assert [column.full_name for column in table.columns] == ["cnn: mAP", "overall: mAP"]
    assert jnd_table(of_scores({("bapps", "psnr"): {"n": 3.0}})) is None
