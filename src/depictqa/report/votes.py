"""Methods against people's votes: both conventions of each subset, the human rows first, published rows beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.score import FULL, NONE
from depictqa.evaluation.vote_table import HUMAN_WORDS, KIND_WORDS, REFERENCE_WORDS, kinds, of_subset, subsets_of
from depictqa.evaluation.votes import HUMANS, MAJORITY, OVERALL, TWO_AFC
from depictqa.report.published import HUMAN, SOURCE, VOTES, Published, method_name, place
from depictqa.report.runs import Measured, counts_note
from depictqa.report.table import MARK, Cell, Column, Row, Source, Table, percent

_HEAD = ("method", "reference", "run")
_NOTES = (
    "2AFC: mean share of the people who chose as the method does; majority: the majority's image chosen. In percent, "
    "with 95 % bootstrap intervals over triplets and their number. What cannot be read gets no points; equal scores "
    "get half.",
    "Human rows are computed from the votes of the results: plug-in draws a person and their opponent from the same "
    "votes, leave-one-out from different ones; no method can pass the ceiling.",
)
_PUBLISHED_NOTE = (
    f"{MARK} Published, not measured here: {SOURCE}. It does not say which convention; its human row is the plug-in "
    "2AFC figure, so its numbers stand under 2AFC."
)


def vote_tables(measured: Sequence[Measured]) -> list[Table]:
    """For each benchmark with votes: the subsets that others published figures of, then the rest."""
    tables = []
    benchmarks = dict.fromkeys(one.benchmark for one in measured if subsets_of(one.figures))
    for benchmark in benchmarks:
        ours = [one for one in measured if one.benchmark == benchmark]
        published = VOTES.get(benchmark, ())
        subsets = _ordered(ours, published)
        known = [subset for subset in subsets if any(subset in row.values for row in published)]
        rest = [subset for subset in subsets if subset not in known]
        if known:
            tables.append(_table(f"votes_{benchmark}", f"{benchmark}: people's votes", ours, known, published))
        if rest:
            title = f"{benchmark}: people's votes, {'further subsets' if known else 'by subset'}"
            tables.append(_table(f"votes_{benchmark}_{'further' if known else 'subsets'}", title, ours, rest, ()))
    return tables


def _ordered(ours: Sequence[Measured], published: Sequence[Published]) -> list[str]:
    """As published, then by name, all triplets last."""
    known = list(dict.fromkeys(subset for row in published for subset in row.values))
    found = {subset for one in ours for subset in subsets_of(one.figures)}
    return [s for s in known if s in found] + sorted(found - set(known), key=lambda s: (s == OVERALL, s))


def _table(
    name: str, title: str, ours: Sequence[Measured], subsets: Sequence[str], published: Sequence[Published]
) -> Table:
    columns = [Column(column, subset) for subset in subsets for column in ("2AFC", "majority")]
    rows = [*_human_rows(ours, subsets), *(_published(row, subsets) for row in published if row.model == HUMAN)]
    models = {one.model for one in ours} | {row.model for row in published} - {HUMAN}
    for model in sorted(models, key=place):
        rows += [row for one in ours if one.model == model for row in _rows(one, subsets)]
        rows += [_published(row, subsets) for row in published if row.model == model]
    notes = (*_NOTES, counts_note(ours), *([_PUBLISHED_NOTE] if published else []))
    return Table(name, title, _HEAD, tuple(columns), tuple(rows), notes).without_empty()


def _human_rows(ours: Sequence[Measured], subsets: Sequence[str]) -> Iterator[Row]:
    """Of each subset's largest set of triplets that was asked about."""
    found = {
        subset: max(
            (of_subset(one.figures, where, subset) for one in ours for where in (FULL, NONE)),
            key=lambda figures: figures.get("n", 0),
        )
        for subset in subsets
    }
    for name in HUMANS:
        cells: list[Cell] = []
        for figures in found.values():
            cells += [percent(figures, name), Cell()]
        if any(cell.value is not None for cell in cells):
            yield Row((HUMAN_WORDS[name], "", ""), tuple(cells))


def _rows(one: Measured, subsets: Sequence[str]) -> Iterator[Row]:
    """With and without reference apart; a model's words and its A against B in logits apart."""
    for where in (FULL, NONE):
        found = [of_subset(one.figures, where, subset) for subset in subsets]
        for kind in dict.fromkeys(kind for figures in found for kind in kinds(one.model, figures)):
            method = method_name(one.model) + (f", {KIND_WORDS[kind]}" if one.model == MODEL else "")
            cells = [percent(figures, f"{kind}/{name}") for figures in found for name in (TWO_AFC, MAJORITY)]
            yield Row((method, REFERENCE_WORDS[where], one.run), tuple(cells))


def _published(row: Published, subsets: Sequence[str]) -> Row:
    cells = [cell for subset in subsets for cell in (Cell(row.values.get(subset)), Cell())]
    return Row((row.method, "", ""), tuple(cells), Source.PUBLISHED)
