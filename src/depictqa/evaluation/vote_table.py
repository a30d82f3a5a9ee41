"""The console's table of comparisons against people's votes: for each subset the human rows, then each method's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.score import FULL, NONE, Scores
from depictqa.evaluation.votes import ANSWER, HUMANS, MAJORITY, OVERALL, PREFIX, SCORES, TWO_AFC
from depictqa.metrics.bootstrap import HIGH, LOW

HUMAN_WORDS = {
    "human": "human (plug-in)",
    "human_leave_one_out": "human (leave one out)",
    "ceiling": "ceiling (the majority)",
}
REFERENCE_WORDS = {FULL: "with", NONE: "without"}
KIND_WORDS = {ANSWER: "answer", SCORES: "A or B"}
_CAPTION = (
    "2AFC: mean share of the people who chose as the method does; majority: the majority's image chosen. In percent, "
    "with 95 % bootstrap intervals over triplets. What cannot be read gets no points, equal scores half. "
    "Parsed: share of answers that could be read; swap: share of triplets of which the same image is chosen when "
    "A and B are exchanged."
)


def vote_tables(scores: Scores) -> list[Table]:
    """One for each benchmark that has votes."""
    names = dict.fromkeys(name for (name, _), figures in scores.items() if subsets_of(figures))
    return [_table(name, {who: f for (of, who), f in scores.items() if of == name}) for name in names]


def _table(name: str, methods: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title=f"{name}: people's votes", title_justify="left", caption=_CAPTION, caption_justify="left")
    for column in ("subset, method", "reference"):
        table.add_column(column, no_wrap=True)
    for column in ("n", "2AFC", "majority", "parsed", "swap"):
        table.add_column(column, justify="right", no_wrap=True)
    subsets = dict.fromkeys(subset for figures in methods.values() for subset in subsets_of(figures))
    for subset in sorted(subsets, key=lambda one: (one == OVERALL, one)):
        table.add_row(subset)
        for method, *row in _rows(subset, methods):
            table.add_row(f"  {method}", *row)
        table.add_section()
    return table


def _rows(subset: str, methods: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, ...]]:
    """The human rows of the largest set of triplets that was asked about, then the methods'."""
    found = [
        (who, where, of_subset(figures, where, subset)) for who, figures in methods.items() for where in (FULL, NONE)
    ]
    found = [one for one in found if one[2]]
    _, _, largest = max(found, key=lambda one: one[2]["n"])
    for name in HUMANS:
        if name in largest:
            yield HUMAN_WORDS[name], "", f"{largest['n']:.0f}", _interval(largest, name), "", "", ""
    for who, where, figures in found:
        for kind in kinds(who, figures):
            method = f"{who}, {KIND_WORDS[kind]}" if who == MODEL else who
            means = [_interval(figures, f"{kind}/{name}") for name in (TWO_AFC, MAJORITY)]
            shares = [_percent(figures.get(f"{kind}/{name}")) for name in ("share_parsed", "swap_consistency")]
            yield method, REFERENCE_WORDS[where], f"{figures['n']:.0f}", *means, *shares


def kinds(who: str, figures: Mapping[str, float]) -> list[str]:
    """Both of the model under test; of a score metric, whose answer is its scores, these alone."""
    kinds = [kind for kind in (ANSWER, SCORES) if f"{kind}/{TWO_AFC}" in figures]
    return kinds if who == MODEL else kinds[-1:]


def subsets_of(figures: Mapping[str, float]) -> list[str]:
    split = [name.split("/") for name in figures]
    return list(dict.fromkeys(part[2] for part in split if len(part) > 3 and part[1] == PREFIX))


def of_subset(figures: Mapping[str, float], where: str, subset: str) -> dict[str, float]:
    start = f"{where}/{PREFIX}/{subset}/"
    return {name.removeprefix(start): value for name, value in figures.items() if name.startswith(start)}


def _interval(figures: Mapping[str, float], name: str) -> str:
    if name not in figures:
        return "-"
    value, low, high = (100 * figures[f"{name}{end}"] for end in ("", LOW, HIGH))
    return f"{value:.2f} [{low:.1f}, {high:.1f}]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
