"""Is the language alive? Repetition and variety of each model's texts."""

from __future__ import annotations

from collections.abc import Sequence

from depictqa.report.published import method_name
from depictqa.report.runs import Measured, counts_note
from depictqa.report.table import Cell, Column, Row, Table, percent, plain
from depictqa.sample import Task

_COLUMNS = tuple(
    map(
        Column,
        (
            *("texts", "repeated 4-grams %", "distinct-1", "distinct-2", "vocabulary", "mean words", "different %"),
            *("ROUGE-L %", "with another image's %"),
        ),
    )
)
_NOTES = (
    "Repeated 4-grams: share of a text's 4-grams that it has already said, mean over texts. Distinct-n: different "
    "n-grams of all texts over their number, which falls as texts are added: compare sets of one size. Different: "
    "share of texts that differ from all others. ROUGE-L: of content texts with the true ones, and with those of the "
    "next image, which share their wording.",
)


def text_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each model and task that is answered in sentences; None where there is none."""
    ours, rows = [], []
    for one in measured:
        for task in Task:
            figures = one.of(task)
            if "text/mean_words" not in figures or one.benchmark == "loss":
                continue
            ours.append(one)
            task_name = "" if one.benchmark == task else str(task)
            rows.append(Row((method_name(one.model), one.benchmark, task_name, one.run), _cells(figures)))
    if not rows:
        return None
    head, notes = ("model", "benchmark", "task", "run"), (*_NOTES, counts_note(dict.fromkeys(ours)))
    return Table("texts", "Texts", head, _COLUMNS, tuple(rows), notes).without_empty()


def _cells(figures: dict[str, float]) -> tuple[Cell, ...]:
    return (
        plain(figures, "n", digits=0),
        percent(figures, "text/repeated_4gram_rate"),
        plain(figures, "text/distinct_1"),
        plain(figures, "text/distinct_2"),
        plain(figures, "text/vocabulary", digits=0),
        plain(figures, "text/mean_words", digits=1),
        percent(figures, "text/distinct_texts"),
        percent(figures, "rouge_l"),
        percent(figures, "rouge_l_chance"),
    )
