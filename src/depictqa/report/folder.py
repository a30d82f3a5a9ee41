"""A report's folder: the same tables in every format, the plots, and nothing of a report that was there before."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from depictqa.report.renderers import csv, html, latex, markdown
from depictqa.report.table import Table

MARKDOWN, LATEX, HTML, TABLES, PLOTS = "report.md", "report.tex", "report.html", "tables", "plots"
PARTS = frozenset({MARKDOWN, LATEX, HTML, TABLES, PLOTS})

Plot = tuple[str, str, bytes]
"""What to name its file after, a title, a PNG."""


@contextmanager
def report_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` to write to, which takes its place when all is written; on an error `out` is as it
    was.

    ValueError, before anything is written, where `out` is no folder, holds something that is no part of a report, or
    cannot be written.
    """
    _check(out)
    beside = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        beside.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"the report cannot be written to '{out}': {error.strerror}; choose another (out)") from error
    try:
        yield beside
        old = out.with_name(f".{out.name}.old-{os.getpid()}")
        if out.exists():
            os.replace(out, old)
        os.replace(beside, out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_report(
    folder: Path, title: str, lines: Sequence[str], tables: Sequence[Table], plots: Sequence[Plot]
) -> None:
    """Into an empty folder; plots' titles and `lines` are shown as they are."""
    (folder / TABLES).mkdir()
    for table, name in zip(tables, file_names([table.name for table in tables]), strict=True):
        _write(folder / TABLES / f"{name}.csv", csv.render(table))
    if plots:
        (folder / PLOTS).mkdir()
    images = []
    for (_, plot_title, png), name in zip(plots, file_names([name for name, *_ in plots]), strict=True):
        images.append((plot_title, f"{PLOTS}/{name}.png"))
        (folder / images[-1][1]).write_bytes(png)
    _write(folder / MARKDOWN, markdown.document(title, lines, tables, images))
    _write(folder / LATEX, latex.document(tables))
    _write(folder / HTML, html.page(title, lines, tables, [(plot_title, png) for _, plot_title, png in plots]))


def file_names(names: Sequence[str]) -> list[str]:
    """A benchmark may have any name, a file may not: a plain and different one for each."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[:100] or "table"
        number = sum(re.sub(r"~\d+$", "", other).lower() == plain.lower() for other in found)
        found.append(f"{plain}~{number + 1}" if number else plain)
    return found


def _check(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"the report's folder '{out}' is a file; choose another (out)")
    strange = sorted(path.name for path in out.iterdir() if path.name not in PARTS) if out.exists() else []
    if strange:
        raise ValueError(f"'{out}' holds '{strange[0]}', which is no part of a report; choose another folder (out)")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
