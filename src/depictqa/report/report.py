"""All tables and plots that results have the figures for, in the order of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depictqa.report import plots
from depictqa.report.confidence import confidence_table, curves
from depictqa.report.correlations import correlation_table
from depictqa.report.folder import Plot
from depictqa.report.identification import identification_table
from depictqa.report.judges import judge_table
from depictqa.report.just_noticeable import jnd_table
from depictqa.report.points import point_table
from depictqa.report.published import method_name
from depictqa.report.runs import Measured
from depictqa.report.table import Cell, Column, Row, Table
from depictqa.report.tasks import reference_table, task_table
from depictqa.report.texts import text_table
from depictqa.report.votes import vote_tables


def tables(measured: Sequence[Measured], points: Mapping[str, str] | None = None) -> list[Table]:
    """Those with a measured row, and what was read at the end; first what a sweep varied, where `points` says of each
    run which of its points it is."""
    found = [
        point_table(measured, points or {}),
        *vote_tables(measured),
        task_table(measured),
        reference_table(measured),
        judge_table(measured),
        identification_table(measured),
        confidence_table(measured),
        text_table(measured),
        correlation_table(measured),
        jnd_table(measured),
        results_table(measured),
    ]
    return [table for table in found if table is not None]


def results_table(measured: Sequence[Measured]) -> Table:
    """What the other tables are made of; the loss, which has no other place."""
    columns = tuple(map(Column, ("results", "with an error", "not parsed", "loss")))
    rows = [
        Row(
            (method_name(one.model), one.benchmark, one.run),
            (
                Cell(len(one.results), digits=0),
                Cell(one.num_errors, digits=0),
                Cell(one.num_unparsed, digits=0),
                Cell(one.figures.get("loss"), digits=3),
            ),
        )
        for one in measured
    ]
    notes = (
        "Loss in nats a token, mean over samples. A result with an error could not be asked, and counts as wrong.",
    )
    return Table("results", "Results read", ("method", "benchmark", "run"), columns, tuple(rows), notes).without_empty()


def confidence_plots(measured: Sequence[Measured]) -> list[Plot]:
    """Two for each benchmark whose answers have confidences. A single answer makes no curve, and no plot by itself."""
    found: list[Plot] = []
    for benchmark, methods in curves(measured).items():
        several = {name: answers for name, answers in methods.items() if len(answers[0]) > 1}
        kinds = {"reliability": (plots.reliability, methods), "risk_coverage": (plots.risk_over_coverage, several)}
        for kind, (draw, drawn) in kinds.items():
            title = f"{benchmark}: {kind.replace('_', ' and ')}"
            if drawn:
                found.append((f"{kind}_{benchmark}", title, draw(title, drawn)))
    return found
