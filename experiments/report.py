"""`program=report`: tables and plots from the results of runs alone, in every format, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

if TYPE_CHECKING:
    from depictqa.report.table import Table

REPORT = "report"
TABLE_WIDTH = 120
"""Of the tables where the console does not say how wide it is."""


def run(cfg: DictConfig) -> dict[str, float]:
    """The report on `runs` goes to `out`, by default to `report` in the first of these folders; its tables are printed.
    Jobs of sweeps are listed first, and also put together by what was varied. Figures are
    `<run>/<benchmark>/<model>/<figure>`."""
    folders = run_folders(cfg.runs)
    from depictqa.report.folder import HTML, LATEX, MARKDOWN, TABLES, report_folder, write_report
    from depictqa.report.point_plots import point_plots
    from depictqa.report.report import confidence_plots, tables
    from depictqa.report.runs import read_runs

    out = Path(cfg.out) if cfg.out is not None else folders[0] / REPORT
    for folder in folders:
        if not folder.is_dir():  # before a folder for the report is made
            raise FileNotFoundError(f"folder '{folder}' not found; name run folders, or one that holds some (runs)")
    with report_folder(out) as beside:
        measured = read_runs(folders)
        varied = points_of(folders)
        found = tables(measured, varied)
        told = [f"Results of {', '.join(map(_named, folders))}.", *job_lines(folders)]
        write_report(beside, "Report", told, found, point_plots(measured, varied) + confidence_plots(measured))
    print("\n".join(told))
    print_report(found)
    for name in (HTML, MARKDOWN, LATEX, TABLES):
        print(f"{name:13}{out / name}")
    return {
        "/".join(filter(None, (one.run, one.benchmark, one.model, name))): value
        for one in measured
        for name, value in one.figures.items()
    }


def _named(folder: Path) -> str:
    """With its point where it is a sweep's job."""
    from experiments.jobs import point_of

    point = point_of(folder)
    return f"{folder} ({point})" if point else str(folder)


def job_lines(folders: list[Path]) -> list[str]:
    """Of the jobs of sweeps that lie in `folders`: how tables name each, its point, and what became of it where it is
    not finished. Nothing of an only job."""
    from depictqa.report.runs import run_names
    from experiments.jobs import LIST, State, jobs_in, points

    names = run_names(folders)
    roots = {folder.resolve() for folder in folders}
    sweeps = {path.parent for root in roots for path in root.rglob(LIST)}
    sweeps |= {run.parent for run in names if (run.parent / LIST).is_file()}
    lines = []
    for sweep in sorted(sweeps):
        jobs = jobs_in(sweep)
        known = next((Path(name).parent for run, name in names.items() if run.parent == sweep), Path(sweep.name))
        for job, point in zip(jobs, points([job.overrides for job in jobs]), strict=True):
            if not roots & {job.folder, *job.folder.parents}:
                continue
            line = f"{names.get(job.folder) or known / job.folder.name}: {point or 'alike'}"
            if job.state is not State.FINISHED:
                figures = "not all figures yet" if job.folder in names else "no figures yet"
                line += f"; {figures} ({': '.join(filter(None, (job.state, job.cause)))})"
            lines.append(line)
    return lines if len(lines) > 1 else []


def points_of(folders: list[Path]) -> dict[str, str]:
    """Of the runs that are jobs of sweeps: what they were started with that not all were, but for the seed."""
    from depictqa.report.runs import run_names
    from experiments.jobs import points, read_job

    started = {name: read_job(folder).overrides for folder, name in run_names(folders).items()}
    jobs = {name: overrides for name, overrides in started.items() if overrides}
    found = points(list(jobs.values()), without=["seed"])
    return {name: point or "all alike" for name, point in zip(jobs, found, strict=True)} if len(jobs) > 1 else {}


def print_report(tables: list[Table]) -> None:
    from rich.console import Console

    from depictqa.report.renderers.console import print_tables

    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    print_tables(console, tables)


def run_folders(runs: Any) -> list[Path]:
    """`runs=DIR` or `runs=[DIR,DIR]`."""
    if runs is None or runs == "" or (not isinstance(runs, str) and not len(runs)):
        raise ValueError("say which runs to report on: runs=DIR or runs=[DIR,DIR]")
    several: Sequence[Any] = [runs] if isinstance(runs, str) else list(runs)
    return [Path(str(folder)) for folder in several]
