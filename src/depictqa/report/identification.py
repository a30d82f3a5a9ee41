"""DepictQA-v2's brief tasks: which distortions an image has, one or several, and which of two images is better."""

from __future__ import annotations

from collections.abc import Sequence

from depictqa.evaluation.score import CLEAN, FULL, NONE, SEVERAL, SINGLE
from depictqa.evaluation.vote_table import REFERENCE_WORDS
from depictqa.report.published import method_name, place
from depictqa.report.runs import Measured, counts_note
from depictqa.report.table import Cell, Column, Row, Table, percent
from depictqa.sample import Task

_TASKS = (Task.IDENTIFICATION, Task.RATING)
_COLUMNS = (
    *(Column(name, group) for group in ("one distortion", "several distortions") for name in ("exact", "overlap")),
    Column("none named", "no distortion"),
    Column("accuracy", "rating"),
)
_NOTES = (
    "In percent, with 95 % bootstrap intervals over answers and their number. Exact: the set of named distortions is "
    "the true one; overlap: mean of |named and true| / max(|named|, |true|). Rating: the better image named; what "
    "cannot be parsed is wrong.",
)


def identification_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each method with, and without, a reference; None where neither task was asked."""
    ours = [one for one in measured if any(one.of(task) for task in _TASKS)]
    order = sorted(ours, key=lambda one: (one.family, place(one.model), one.run))
    rows = []
    for family, model, run in dict.fromkeys((one.family, one.model, one.run) for one in order):
        some = [one for one in ours if (one.family, one.model, one.run) == (family, model, run)]
        for where in (FULL, NONE):
            cells = _cells(some, where)
            if any(cell.value is not None for cell in cells):
                rows.append(Row((method_name(model), family, REFERENCE_WORDS[where], run), cells))
    head, notes = ("method", "benchmark", "reference", "run"), (*_NOTES, counts_note(ours))
    title = "Identification and rating"
    return Table("identification", title, head, _COLUMNS, tuple(rows), notes).without_empty() if rows else None


def _cells(some: Sequence[Measured], where: str) -> tuple[Cell, ...]:
    named, rated = (next(filter(None, (one.of(task, where) for one in some)), {}) for task in _TASKS)
    cells = [
        percent(named, f"{number}/{figure}")
        for number in (SINGLE, SEVERAL)
        for figure in ("distortion_accuracy", "distortion_overlap")
    ]
    clean = percent(named, f"{CLEAN}/clean_accuracy")
    return (*cells, clean, percent(rated, "accuracy", rated.get("n")))
