"""Language models as judges: what each said of each method's texts, and how far the order of two texts swayed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from depictqa.evaluation.judgements import Said, judge_figures, judges_of, said_by
from depictqa.evaluation.result import Result
from depictqa.report.published import method_name
from depictqa.report.runs import Measured, counts_note
from depictqa.report.table import Cell, Column, Row, Table, percent, plain
from depictqa.sample import Task

_COLUMNS = (
    Column("score"),
    Column("unparsed"),
    Column("score", "other order"),
    Column("unparsed", "other order"),
    Column("difference", "both orders"),
    Column("same text preferred", "both orders"),
)
_NOTES = (
    "In percent, with 95 % bootstrap intervals and n. Relative: mean of min(model's grade / person's grade, 1), the "
    "person's text first; consistency: a tenth of the grade. Replies without readable grades are left out and counted; "
    "where a model gave no text the score is 0. Difference: score in the first order less that in the other, over what "
    "was read in both.",
)


def judge_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each method, task and judge; None where nobody judged."""
    ours, rows = [], []
    for one in measured:
        for task, results in _by_task(one):
            for judge in judges_of(results):
                said = said_by(results, judge)
                task_name = "" if one.benchmark == task else str(task)
                about = (method_name(one.model), one.benchmark, task_name, one.run)
                rows.append(Row((*about, said.protocol, ", ".join(said.names), _days(said)), _cells(results, judge)))
                ours.append(one)
    if not rows:
        return None
    head = ("method", "benchmark", "task", "run", "protocol", "judge", "asked on")
    notes = (*_NOTES, counts_note(dict.fromkeys(ours)))
    return Table("judges", "Judges", head, _COLUMNS, tuple(rows), notes).without_empty()


def judges_note(measured: Sequence[Measured]) -> str | None:
    """Who gave the judge's scores of a table, and when; None where nobody did."""
    methods: dict[str, list[str]] = {}
    for one in measured:
        for _, results in _by_task(one):
            for reference in (True, False):
                some = [result for result in results if result.full_reference is reference]
                for judge in judges_of(some)[:1]:
                    methods.setdefault(said_by(some, judge).words, []).append(method_name(one.model))
    if not methods:
        return None
    if len(methods) == 1:
        return f"Judge: {next(iter(methods))}."
    return f"Judges: {'; '.join(f'{words} ({_listed(names)})' for words, names in methods.items())}."


def _by_task(one: Measured) -> Iterator[tuple[Task, list[Result]]]:
    for task in Task:
        if found := [result for result in one.results if result.task is task and result.judgements]:
            yield task, found


def _cells(results: Sequence[Result], judge: tuple[str, str]) -> tuple[Cell, ...]:
    figures = judge_figures(results, judge)
    num = figures.get("judge_order_n")
    return (
        percent(figures, "judge_score", figures["judge_n"]),
        plain(figures, "judge_unparsed", digits=0),
        percent(figures, "judge_score_exchanged"),
        plain(figures, "judge_unparsed_exchanged", digits=0),
        percent(figures, "judge_order_bias", num),
        percent(figures, "judge_order_agreement", num),
    )


def _days(said: Said) -> str:
    return " to ".join(dict.fromkeys((said.dates[0], said.dates[-1]))) if said.dates else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
