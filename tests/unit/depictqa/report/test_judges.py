"""Tables with judges' scores name the judge and the day, each row's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from depictqa.evaluation.result import Result
from depictqa.evaluation.score import score
from depictqa.report.judges import judge_table, judges_note
from depictqa.report.runs import Measured
from depictqa.report.tasks import reference_table, task_table
from depictqa.sample import Task

ONE = Result("k", Task.DESCRIPTION, "description", "depictqa", True, "q", "p", "t")


def judgement(score: float | None, judge: str, date: str, exchanged: float | None = None) -> dict:
    grades = None if score is None else [10, 10 * score]
    found = {"score": score, "grades": grades, "judge": judge, "date": date, "exchanged": None}
    if exchanged is not None:
        found["exchanged"] = {"score": exchanged, "grades": [10, 10 * exchanged]}
    return found


def measured(model: str, judge: str, *days: str) -> Measured:
    results = tuple(
        replace(ONE, key=f"{day}{number}{full}", model=model, full_reference=full, judgements={
            "relative": {"alias": judgement((None, 0.5, 1.0)[number], judge, day, 0.5)},
            "consistency": {"alias": judgement(0.25, judge, day)},
        })
        for day in days for number in range(3) for full in (True, False)
    )  # fmt: skip
    return Measured("", "description", model, results, score(results))


def test_one_judge_of_all_is_named_once() -> None:
    ours = [measured("depictqa", "j-1", "2026-11-27"), measured("llava", "j-1", "2026-11-27")]
    assert judges_note(ours) == "Judge: relative by j-1 on 2026-11-27."
    for table in (task_table(ours), reference_table(ours)):
        assert table is not None and "Judge: relative by j-1 on 2026-11-27." in table.notes
    table = task_table(ours)
    row = next(row for row in table.rows if not row.published)
    cell = dict(zip((column.full_name for column in table.columns), row.cells, strict=True))["description: judge"]
    assert (cell.value, cell.n) == (75.0, 2)


def test_several_are_named_with_their_methods_and_days() -> None:
    ours = [measured("depictqa", "j-2", "2026-11-27", "2026-11-29"), measured("llava", "j-1", "2026-11-27")]
    assert judges_note(ours) == (
        "Judges: relative by j-2 from 2026-11-27 to 2026-11-29 (DepictQA); relative by j-1 on 2026-11-27 (llava)."
    )


def test_every_judge_has_a_row_with_its_order_bias() -> None:
    table = judge_table([measured("depictqa", "j-1", "2026-11-27")])
    assert table is not None and [row.head for row in table.rows] == [
        ("DepictQA", "description", "relative", "j-1", "2026-11-27"),
        ("DepictQA", "description", "consistency", "j-1", "2026-11-27"),
    ]
    names = [column.full_name for column in table.columns]
    relative, consistency = (dict(zip(names, row.cells, strict=True)) for row in table.rows)
    assert (relative["score"].value, relative["score"].n, relative["unparsed"].value) == (75, 4, 2)
    assert relative["other order: score"].value == 50
    assert relative["both orders: difference"].value == pytest.approx(25)
    assert relative["both orders: same text preferred"].value == 50
    assert consistency["score"].value == 25 and consistency["other order: score"].value is None


def test_without_judges_there_is_neither() -> None:
    ours = [Measured("", "description", "depictqa", (ONE,), score([ONE]))]
    assert judge_table(ours) is None and judges_note(ours) is None
