"""The results of runs, found under folders, and what the scorer makes of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from depictqa.evaluation.evaluate import RESULTS
from depictqa.evaluation.result import Result, read_results
from depictqa.evaluation.score import FULL, NONE, Scores, score
from depictqa.report.published import place
from depictqa.sample import Task


@dataclass(frozen=True, eq=False)
class Measured:
    """One model's results on one benchmark in one run, and their figures. `run` is empty where there is only one."""

    run: str
    benchmark: str
    model: str
    results: tuple[Result, ...]
    figures: dict[str, float]

    @property
    def family(self) -> str:
        """Benchmarks that are named after their task are parts of one evaluation; any other stands for itself."""
        return "" if self.benchmark in list(Task) else self.benchmark

    @property
    def num_errors(self) -> int:
        return sum(result.error is not None for result in self.results)

    @property
    def num_unparsed(self) -> int:
        """Answers that nothing could be read from, of those that should say something of quality."""
        return sum(
            result.parsed is None and result.loss is None and result.error is None
            for result in self.results
            if result.task is not Task.CONTENT and result.benchmark != "loss"
        )

    def of(self, task: Task, where: str = "") -> dict[str, float]:
        """The figures of one task `where` (`full_reference`, `no_reference`, or of all results), named without
        both."""
        wanted = {FULL: (True,), NONE: (False,)}.get(where, (True, False))
        tasks = {one for one, full_reference in self._asked if full_reference in wanted}
        if task not in tasks:
            return {}
        start = (f"{where}/" if where else "") + (f"{task}/" if len(tasks) > 1 else "")
        return {name.removeprefix(start): v for name, v in self.figures.items() if name.startswith(start)}

    @cached_property
    def _asked(self) -> set[tuple[Task, bool]]:
        """Tasks, with a reference and without."""
        return {(result.task, result.full_reference) for result in self.results if result.swap_of is None}


def read_runs(folders: Sequence[Path]) -> list[Measured]:
    """All that stands in `results/*.jsonl` at any depth under `folders`, scored; a run is the folder that holds
    `results`.

    FileNotFoundError where a folder, or any result in it, is missing; ValueError for a broken line, and for a question
    that one model answers twice in one run.
    """
    files = result_files(folders)
    found: list[Measured] = []
    names = _run_names(list(files))
    for folder, paths in files.items():
        groups: dict[tuple[str, str], dict[str, tuple[Result, Path]]] = {}
        for path in paths:
            for result in read_results(path):
                group = groups.setdefault((result.benchmark, result.model), {})
                if result.key in group:
                    raise ValueError(_twice(result, group[result.key][1], path))
                group[result.key] = (result, path)
        for (benchmark, model), by_key in groups.items():
            results = tuple(result for result, _ in by_key.values())
            found.append(Measured(names[folder], benchmark, model, results, score(results)))
    if not found:
        raise FileNotFoundError(f"no results in {_listed(folders)}: every file is empty; evaluate first (runs)")
    order = list(names.values())
    return sorted(
        found, key=lambda one: (one.benchmark == "loss", one.benchmark, place(one.model), order.index(one.run))
    )


def counts_note(measured: Iterable[Measured]) -> str:
    """For a table's foot: how many results it stands on, and how many of them are no answers."""
    measured = list(measured)
    total = sum(len(one.results) for one in measured)
    errors, unparsed = sum(one.num_errors for one in measured), sum(one.num_unparsed for one in measured)
    text = f"{total:,} results; {errors:,} with an error, {unparsed:,} others not parsed"
    named = [
        f"{one.model} on {one.benchmark}{f' ({one.run})' if one.run else ''} {one.num_errors:,} and "
        f"{one.num_unparsed:,}"
        for one in measured
        if one.num_errors or one.num_unparsed
    ]
    return f"{text}: {', '.join(named)}." if 0 < len(named) < len(measured) or len(named) > 1 else f"{text}."


def counts_notes(measured: Iterable[Measured]) -> list[str]:
    """`counts_note`, where the results themselves are at hand and not their figures alone."""
    measured = list(measured)
    return [counts_note(measured)] if any(one.results for one in measured) else []


def of_scores(scores: Scores) -> list[Measured]:
    """Figures without their results, for the tables of a run that was just scored."""
    return [Measured("", benchmark, model, (), figures) for (benchmark, model), figures in scores.items()]


def result_files(folders: Sequence[Path]) -> dict[Path, list[Path]]:
    """Run folder -> its files, each once however the folders overlap. FileNotFoundError where a folder has none."""
    files: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"folder '{folder}' not found; name run folders, or one that holds some (runs)")
        found = sorted(folder.resolve().rglob(f"{RESULTS}/*.jsonl"), key=_by_number)
        if not found:
            raise FileNotFoundError(f"'{folder}' has no {RESULTS}/*.jsonl at any depth; evaluate first (runs)")
        for path in found:
            if path not in seen:
                seen.add(path)
                files.setdefault(path.parent.parent, []).append(path)
    return files


def _by_number(path: Path) -> list[tuple[int, str]]:
    """A sweep's jobs as they were started: 2 before 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in path.parts]


def run_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The folders of the runs under `folders`, and how they are named in `Measured.run`."""
    return _run_names(list(result_files(folders)))


def _run_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The parts of their paths in which runs differ; an only run needs no name."""
    if len(folders) == 1:
        return {folders[0]: ""}
    common = os.path.commonpath(folders)
    if Path(common) in folders:
        common = os.path.dirname(common)
    return {folder: os.path.relpath(folder, common) for folder in folders}


def _twice(result: Result, first: Path, second: Path) -> str:
    where = f"twice in '{first}'" if first == second else f"in '{first}' and in '{second}'"
    return f"result '{result.key}' of {result.model} on {result.benchmark} stands {where}; remove one (runs)"


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(f"'{folder}'" for folder in folders)
