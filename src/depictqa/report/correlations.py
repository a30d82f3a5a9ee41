"""Scores of images against people's scores: rank and linear correlation, per reference and over the whole set."""

from __future__ import annotations

from collections.abc import Sequence

from depictqa.evaluation.score import FULL, NONE
from depictqa.evaluation.vote_table import REFERENCE_WORDS
from depictqa.metrics.bootstrap import HIGH, LOW
from depictqa.report.published import method_name
from depictqa.report.runs import Measured, counts_notes
from depictqa.report.table import Cell, Column, Row, Table

_APART = "per_reference/"
_FIGURES = ("srcc", "plcc")
_COLUMNS = (
    Column("SRCC", "per reference"),
    Column("PLCC", "per reference"),
    Column("SRCC", "whole set"),
    Column("PLCC", "whole set"),
)
_KINDS = {
    "bradley_terry_wins": "Bradley-Terry, wins",
    "bradley_terry_confidences": "Bradley-Terry, confidences",
}
_NOTES = (
    "SRCC: Spearman's rank correlation; PLCC: Pearson's after a four-parameter logistic fit; with 95 % bootstrap "
    "intervals, which draw whole references where there are any. Per reference: the mean over n references, each with "
    "its own images; not comparable with SRCC over the whole set of n images, which stands beside it.",
)
_VOTE_NOTE = (
    "Of votes between all pairs of a reference's images, wins is the mean of 1 and 0, confidences that of the "
    "confidence in the image chosen and of 1 less it in the other, Bradley-Terry the strengths that make either "
    "likeliest; scores are the numbers that a method gives to single images. An image only meets those of its own "
    "reference: over the whole set, its votes say nothing of how the references compare."
)


def correlation_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each kind of score that the figures have correlations of; None where they have none."""
    ours, rows = [], []
    for one in measured:
        for start in _starts(one):
            ours.append(one)
            where = next((where for where in (FULL, NONE) if f"{start}/".startswith(f"{where}/")), "")
            kind = start.removeprefix(where).strip("/")
            kind = _KINDS.get(kind, kind.replace("_", " ").replace("/", ", "))
            head = (method_name(one.model), one.benchmark, kind, REFERENCE_WORDS.get(where, ""), one.run)
            rows.append(Row(head, _cells(one.figures, f"{start}/" if start else "")))
    if not rows:
        return None
    head = ("method", "benchmark", "score", "reference", "run")
    votes = [_VOTE_NOTE] if any(name.endswith("num_votes") for one in ours for name in one.figures) else []
    notes = (*_NOTES, *votes, *counts_notes(dict.fromkeys(ours)))
    return Table("correlations", "Scores of images", head, _COLUMNS, tuple(rows), notes).without_empty()


def has_correlations(one: Measured) -> bool:
    return bool(_starts(one))


def _starts(one: Measured) -> list[str]:
    """What stands before `srcc`, or before `per_reference/srcc`, in the names of figures."""
    starts: dict[str, None] = {}
    for name in one.figures:
        before, _, last = name.rpartition("/")
        if last in _FIGURES:
            starts[f"{before}/".removesuffix(_APART).rstrip("/")] = None
    return list(starts)


def _cells(figures: dict[str, float], start: str) -> tuple[Cell, ...]:
    cells = []
    for part in (f"{start}{_APART}", start):
        for name in _FIGURES:
            value, low, high = (figures.get(f"{part}{name}{end}") for end in ("", LOW, HIGH))
            n = figures.get(f"{part}n")
            cells.append(Cell(value, low, high, None if n is None or value is None else round(n), digits=3))
    return tuple(cells)
