"""Just-noticeable differences: whose distances find the pairs that people take for the same."""

from __future__ import annotations

from collections.abc import Sequence

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.just_noticeable import OVERALL, PREFIX
from depictqa.report.published import method_name, place
from depictqa.report.runs import Measured, counts_notes
from depictqa.report.table import Cell, Column, Row, Table, percent

_NOTES = (
    "mAP in percent, with 95 % bootstrap intervals over pairs and their number: the area under precision over recall "
    "when pairs are found in order of their distance, and those that people took for the same are looked for. Chance: "
    "the share that people took for the same.",
)
_CHOICE_NOTE = (
    "The distance of a model that compares is how far its probability of A against B is from 1/2, over both orders of "
    "a pair. This use of the probability is this project's, not the paper's."
)


def jnd_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each method, a column for each subset; None where nobody was asked."""
    ours = sorted((one for one in measured if has_precision(one)), key=lambda one: (place(one.model), one.run))
    if not ours:
        return None
    subsets = sorted({subset for one in ours for subset in _subsets(one)}, key=lambda one: (one == OVERALL, one))
    rows = []
    for one in ours:
        cells: list[Cell] = []
        for subset in subsets:
            start = f"{PREFIX}/{subset}"
            found = one.figures.get(f"{start}/n")
            cells += [percent(one.figures, f"{start}/map", found), percent(one.figures, f"{start}/mean_same")]
        rows.append(Row((method_name(one.model), one.benchmark, one.run), tuple(cells)))
    columns = tuple(Column(name, subset) for subset in subsets for name in ("mAP", "chance"))
    chosen = [_CHOICE_NOTE] if any(_compares(one) for one in ours) else []
    notes = (*_NOTES, *chosen, *counts_notes(ours))
    head = ("method", "benchmark", "run")
    return Table("jnd", "Just-noticeable differences", head, columns, tuple(rows), notes).without_empty()


def has_precision(one: Measured) -> bool:
    return bool(_subsets(one))


def _compares(one: Measured) -> bool:
    return one.model == MODEL or any(name.endswith("/map_apart") for name in one.figures)


def _subsets(one: Measured) -> list[str]:
    split = [name.split("/") for name in one.figures]
    return list(dict.fromkeys(part[1] for part in split if len(part) == 3 and part[0] == PREFIX))
