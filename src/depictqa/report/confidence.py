"""Whether confidences are worth their number: calibration, accuracy by confidence, and what the surest answers risk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from depictqa.evaluation.score import confident
from depictqa.metrics.calibration import EDGES, NUM_ECE_BINS
from depictqa.report.published import method_name
from depictqa.report.runs import Measured, counts_note
from depictqa.report.table import Cell, Column, Row, Table, percent, plain
from depictqa.sample import Task

BINS = tuple(f"{low:g}-{high:g}" for low, high in zip(EDGES[:-1], EDGES[1:], strict=True))
_COLUMNS = (
    Column("ECE", "calibration"),
    Column("AURC", "calibration"),
    Column("best AURC", "calibration"),
    *(Column(name, "accuracy at confidence") for name in BINS),
)
_NOTES = (
    f"ECE: expected calibration error, {NUM_ECE_BINS} equal bins. AURC: area under the curve of risk over coverage, "
    "smaller is better; best: of a confidence that puts every right answer first. Both in 0..1. Accuracy at confidence "
    "in percent, with 95 % bootstrap intervals and the number of answers.",
)


def confidence_table(measured: Sequence[Measured]) -> Table | None:
    """A row for each method and task whose answers are right or wrong as a whole; None where none has confidences."""
    ours, rows = [], []
    for one, task in confident_parts(measured):
        start = "confidence/"
        figures = {n.removeprefix(start): v for n, v in one.of(task).items() if n.startswith(start)}
        ours.append(one)
        cells: list[Cell] = [plain(figures, name) for name in ("ece", "aurc", "aurc_best")]
        cells += [percent(figures, f"accuracy_{name}", figures.get(f"n_{name}")) for name in BINS]
        rows.append(Row((method_name(one.model), one.benchmark, _task_name(one, task), one.run), tuple(cells)))
    if not rows:
        return None
    head, notes = ("method", "benchmark", "task", "run"), (*_NOTES, counts_note(dict.fromkeys(ours)))
    return Table("confidence", "Confidence", head, _COLUMNS, tuple(rows), notes).without_empty()


def confident_parts(measured: Sequence[Measured]) -> Iterator[tuple[Measured, Task]]:
    """What has confidences of answers that are right or wrong."""
    for one in measured:
        for task in Task:
            if "confidence/ece" in one.of(task):
                yield one, task


def curves(measured: Sequence[Measured]) -> dict[str, dict[str, tuple[list[float], list[bool]]]]:
    """Benchmark -> method -> confidences and whether each answer is right: what the plots draw."""
    found: dict[str, dict[str, tuple[list[float], list[bool]]]] = {}
    for one, task in confident_parts(measured):
        task_name = _task_name(one, task)
        of = f"{one.benchmark}, {task_name}" if task_name else one.benchmark
        who = f"{method_name(one.model)} ({one.run})" if one.run else method_name(one.model)
        found.setdefault(of, {})[who] = confident([result for result in one.results if result.task is task])
    return found


def _task_name(one: Measured, task: Task) -> str:
    return "" if one.benchmark == task else str(task)
