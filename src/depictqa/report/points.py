"""Runs that differ in what a sweep varied: for each point the mean over its runs, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.score import FULL, NONE
from depictqa.report.runs import Measured
from depictqa.report.table import Cell, Column, Row, Table
from depictqa.sample import Task


@dataclass(frozen=True)
class _Figure:
    """`benchmark`'s `name` among the figures of a run, `scale` times."""

    benchmark: str
    name: str
    column: Column
    scale: float = 100
    digits: int = 1


def _texts(task: Task) -> tuple[_Figure, ...]:
    group = f"{task} texts"
    return (
        _Figure(task, "text/mean_words", Column("mean words", group), 1),
        _Figure(task, "text/distinct_2", Column("distinct-2", group), 1, 4),
        _Figure(task, "text/vocabulary", Column("vocabulary", group), 1, 1),
        _Figure(task, "text/distinct_texts", Column("different %", group)),
        _Figure(task, "text/repeated_4gram_rate", Column("repeated 4-grams %", group)),
    )


_FIGURES = (
    _Figure(Task.COMPARISON, f"{FULL}/accuracy", Column("with reference", "comparison %")),
    _Figure(Task.COMPARISON, f"{NONE}/accuracy", Column("without", "comparison %")),
    _Figure(Task.DESCRIPTION, "distortion_accuracy", Column("distortion named", "description %")),
    _Figure(Task.DESCRIPTION, "field_accuracy", Column("fields", "description %")),
    _Figure(Task.REASONING, "conclusion_accuracy", Column("conclusion", "reasoning %")),
    _Figure(Task.REASONING, "field_accuracy", Column("fields", "reasoning %")),
    *(
        _Figure("loss", f"loss_{task}", Column(str(task), "loss"), 1, 3)
        for task in (Task.COMPARISON, Task.DESCRIPTION, Task.REASONING, Task.CONTENT)
    ),
    *_texts(Task.DESCRIPTION),
    *_texts(Task.REASONING),
    _Figure(Task.CONTENT, "rouge_l", Column("ROUGE-L", "content texts")),
    _Figure(Task.CONTENT, "rouge_l_chance", Column("with another's", "content texts")),
    *_texts(Task.CONTENT),
)
_NOTES = (
    "Mean over a point's runs, which differ in their seeds, ± their standard deviation (n - 1); n: the number of runs. "
    "A single run has no deviation.",
    "Comparison: accuracy; distortion named: as the only or worst one; fields: stated as they are; conclusion: the "
    "better image named. With and without a reference together where nothing else is said. Loss in nats a token. "
    "Texts: of all that a run says; distinct-2 is "
    "higher where a run says less, so read it beside the words. ROUGE-L: with the true texts of the same images, and "
    "with those of others.",
)


def point_table(measured: Sequence[Measured], points: Mapping[str, str]) -> Table | None:
    """A row for each point; `points` names the point of each run. None where no run has any of the figures."""
    found = point_values(measured, points)
    columns = tuple(figure.column for figure in _FIGURES)
    rows = [
        Row((point,), tuple(_cell(values[figure.column], figure) for figure in _FIGURES))
        for point, values in found.items()
    ]
    if not any(cell.value is not None for row in rows for cell in row.cells):
        return None
    return Table("points", "What was varied", ("point",), columns, tuple(rows), _NOTES).without_empty()


def point_values(measured: Sequence[Measured], points: Mapping[str, str]) -> dict[str, dict[Column, list[float]]]:
    """Point -> column -> a value for each of its runs that has one, of the model under test, in the column's unit."""
    found = {point: {figure.column: list[float]() for figure in _FIGURES} for point in dict.fromkeys(points.values())}
    by_run = {(one.run, one.benchmark): one.figures for one in measured if one.model == MODEL}
    for run, point in points.items():
        for figure in _FIGURES:
            value = by_run.get((run, figure.benchmark), {}).get(figure.name)
            if value is not None:
                found[point][figure.column].append(figure.scale * value)
    return found


def _cell(values: Sequence[float], figure: _Figure) -> Cell:
    if not values:
        return Cell()
    spread = stdev(values) if len(values) > 1 else None
    return Cell(mean(values), n=len(values), digits=figure.digits, sd=spread)
