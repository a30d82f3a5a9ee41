"""Methods on description, comparison and reasoning, and what a reference changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from depictqa.evaluation.score import FULL, NONE
from depictqa.evaluation.vote_table import REFERENCE_WORDS, kinds, of_subset, subsets_of
from depictqa.evaluation.votes import OVERALL, TWO_AFC
from depictqa.report.correlations import has_correlations
from depictqa.report.judges import judges_note
from depictqa.report.just_noticeable import has_precision
from depictqa.report.published import REFERENCES, SOURCE, TASKS, Published, method_name, place
from depictqa.report.runs import Measured, counts_note
from depictqa.report.table import MARK, Cell, Column, Row, Source, Table, percent
from depictqa.sample import Task

Figures = Mapping[str, float]

_COLUMNS = {
    "description/reasonable": Column("reasonable", "description"),
    "description/judge": Column("judge", "description"),
    "description/fields": Column("fields", "description"),
    "comparison/all": Column("over all", "comparison"),
    "comparison/parsed": Column("over parsed", "comparison"),
    "comparison/share": Column("parsed", "comparison"),
    "reasoning/reasonable": Column("reasonable", "reasoning"),
    "reasoning/judge": Column("judge", "reasoning"),
    "reasoning/conclusion": Column("conclusion", "reasoning"),
    "reasoning/fields": Column("fields", "reasoning"),
}
_TASKS = (Task.DESCRIPTION, Task.COMPARISON, Task.REASONING)
_NOTES = (
    "In percent, with 95 % bootstrap intervals over answers and their number. Comparison: accuracy over all pairs "
    "(what cannot be parsed is wrong) and over the parsed answers. Fields: questionnaire fields stated as they are, "
    "mean over fields; conclusion: the better image named. Reasonable: share that people judge so; judge: score of a "
    "language model as judge. With reference where it was asked so, else without.",
)
_PUBLISHED_NOTE = f"{MARK} Published, not measured here: {SOURCE}; asked about other items than measured rows are."
_MEASURES = (
    (Task.DESCRIPTION, "field_accuracy", "fields"),
    (Task.COMPARISON, "accuracy", "accuracy"),
    (Task.REASONING, "conclusion_accuracy", "conclusion"),
    (Task.REASONING, "field_accuracy", "fields"),
    (Task.IDENTIFICATION, "distortion_accuracy", "distortions named exactly"),
    (Task.RATING, "accuracy", "accuracy"),
)


def judge_cell(figures: Figures) -> Cell:
    """The score of a language model as judge, where the results of a task have one: the figure `judge_score` in 0..1
    of `judge_n` answers that it could be read for."""
    return percent(figures, "judge_score", figures.get("judge_n", figures.get("n")))


def task_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each method on each set of questions, published rows beside it; None where nobody was asked."""
    ours = [one for one in measured if any(one.of(task) for task in _TASKS) and not _is_elsewhere(one)]
    rows: list[Row] = []
    for model in sorted({one.model for one in ours} | {row.model for row in TASKS}, key=place):
        rows += _rows([one for one in ours if one.model == model])
        rows += [_published(row) for row in TASKS if row.model == model]
    head = ("method", "benchmark", "reference", "run")
    notes = (*_NOTES, *_judges(ours), counts_note(ours), _PUBLISHED_NOTE)
    title = "Description, comparison, reasoning"
    table = Table("tasks", title, head, tuple(_COLUMNS.values()), tuple(rows), notes).without_empty()
    return table if table.measured else None


def reference_table(measured: Sequence[Measured]) -> Table | None:
    """What was asked both with and without a reference, side by side; None where nothing was."""
    ours, rows = [], []
    for one in sorted(measured, key=lambda one: (one.family, place(one.model), one.run)):
        found = [
            Row((method_name(one.model), one.benchmark, measure, one.run), tuple(cells))
            for measure, *cells in _both(one)
            if all(cell.value is not None for cell in cells)
        ]
        rows += found
        ours += [one] if found else []
    if not rows:
        return None
    published = [row for row in REFERENCES if any(row.values["task"] == one.benchmark for one in ours)]
    for row in published:
        head = (row.method, str(row.values["task"]), "not named by the source", "")
        rows.append(Row(head, (Cell(row.values["with"]), Cell(row.values["without"])), Source.PUBLISHED))
    notes = (
        "In percent, with 95 % bootstrap intervals and n. Only what was asked both ways.",
        *_judges(ours),
        counts_note(ours),
        *([f"{MARK} Published, not measured here: {SOURCE}."] if published else []),
    )
    columns = (Column("with reference"), Column("without"))
    head = ("method", "benchmark", "measure", "run")
    return Table("references", "With and without a reference", head, columns, tuple(rows), notes).without_empty()


def _judges(ours: Sequence[Measured]) -> list[str]:
    return [note] if (note := judges_note(ours)) is not None else []


def _is_elsewhere(one: Measured) -> bool:
    """Comparisons that have a table of their own."""
    return bool(subsets_of(one.figures)) or has_correlations(one) or has_precision(one)


def _rows(ours: Sequence[Measured]) -> Iterator[Row]:
    """Of one model. Tasks that were never asked with a reference have a row of those without."""
    for family, run in dict.fromkeys((one.family, one.run) for one in ours):
        some = [one for one in ours if (one.family, one.run) == (family, run)]
        found: dict[str, dict[Task, Figures]] = {FULL: {}, NONE: {}}
        for task in _TASKS:
            by_place = {where: next(filter(None, (one.of(task, where) for one in some)), {}) for where in found}
            where = FULL if by_place[FULL] else NONE
            found[where][task] = by_place[where]
        for where, figures in found.items():
            cells = _cells(figures)
            if any(cell.value is not None for cell in cells):
                yield Row((method_name(some[0].model), family, REFERENCE_WORDS[where], run), cells)


def _cells(figures: Mapping[Task, Figures]) -> tuple[Cell, ...]:
    description, comparison, reasoning = (figures.get(task, {}) for task in _TASKS)
    num = comparison.get("n", 0)
    cells = {
        "description/judge": judge_cell(description),
        "description/fields": percent(description, "field_accuracy"),
        "comparison/all": percent(comparison, "accuracy", num),
        "comparison/parsed": percent(comparison, "accuracy_parsed", num * comparison.get("share_parsed", 0)),
        "comparison/share": percent(comparison, "share_parsed"),
        "reasoning/judge": judge_cell(reasoning),
        "reasoning/conclusion": percent(reasoning, "conclusion_accuracy", reasoning.get("conclusion_n")),
        "reasoning/fields": percent(reasoning, "field_accuracy"),
    }
    return tuple(cells.get(name, Cell()) for name in _COLUMNS)


def _published(row: Published) -> Row:
    cells = tuple(Cell(row.values.get(name)) for name in _COLUMNS)
    return Row((row.method, "", "", ""), cells, Source.PUBLISHED)


def _measure(figures: Figures, name: str) -> Cell:
    return percent(figures, name, figures.get("conclusion_n" if name.startswith("conclusion") else "n"))


def _both(one: Measured) -> Iterator[tuple[str, Cell, Cell]]:
    for task, figure, words in () if _is_elsewhere(one) else _MEASURES:
        full, none = one.of(task, FULL), one.of(task, NONE)
        yield words, _measure(full, figure), _measure(none, figure)
    for task in _TASKS:
        yield "judge", judge_cell(one.of(task, FULL)), judge_cell(one.of(task, NONE))
    for subset in subsets_of(one.figures):
        full, none = (of_subset(one.figures, where, subset) for where in (FULL, NONE))
        name = "all triplets" if subset == OVERALL else subset
        for kind in kinds(one.model, full)[:1]:
            figure = f"{kind}/{TWO_AFC}"
            yield f"2AFC, {name}", percent(full, figure), percent(none, figure)
