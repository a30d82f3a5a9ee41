"""Tables of scores as datasets publish them: CSV, plain lines, Excel sheets, MATLAB files"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HEADER_ROWS = 20  # of a sheet, among which its header is looked for


def read_csv(path: Path, *columns: str) -> Iterator[tuple[str, list[str]]]:
    """(where, values of `columns`) of each row. ValueError where a column is missing."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), skipinitialspace=True)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
    missing = [name for name in columns if name not in reader.fieldnames]
    if missing:
        known = ", ".join(reader.fieldnames) or "none"
        raise ValueError(f"'{path}' has no column '{missing[0]}', but {known}; get the original")
    for number, row in enumerate(reader, 1):
        yield f"'{path}' row {number}", [(row[name] or "").strip() for name in columns]


def read_lines(path: Path, separator: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """(where, fields) of each line that is not empty; None separates by spaces."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            yield f"'{path}' line {number}", [field.strip() for field in line.split(separator)]


def read_sheet(path: Path, sheet: str | None, *columns: str) -> Iterator[tuple[str, list[Any]]]:
    """(where, values of `columns`) of each row of an Excel sheet (None: its first), below the row that names them.

    Rows without a first value are layout. ValueError where there is no such sheet or no row that names the columns.
    """
    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # a cut zip, a foreign file: openpyxl has no one class for them
        raise ValueError(f"'{path}' is not an Excel file ({type(error).__name__}: {error}); copy it again") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise ValueError(f"'{path}' has no sheet '{sheet}', but {', '.join(book.sheetnames)}; get the original")
        rows = (book[sheet] if sheet is not None else book.worksheets[0]).iter_rows(values_only=True)
        places: list[int] = []
        for number, row in enumerate(rows, 1):
            names = [str(value).strip() for value in row]
            if places:
                if row[places[0]] is not None:
                    yield f"'{path}' row {number}", [row[place] for place in places]
            elif set(columns) <= set(names):
                places = [names.index(name) for name in columns]
            elif number == HEADER_ROWS:
                break
        if not places:
            raise ValueError(f"'{path}' has no row that names the columns {', '.join(columns)}; get the original")
    finally:
        book.close()


def read_mat(path: Path, *names: str) -> list[list[Any]]:
    """Each variable of a MATLAB file as a flat list of numbers or texts. ValueError where one is missing."""
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # scipy has no one class for what may be wrong
        raise ValueError(f"'{path}' is no MATLAB file up to v7 ({error}); copy it again, or save it as v7") from error
    missing = [name for name in names if name not in content]
    if missing:
        known = ", ".join(name for name in content if not name.startswith("__"))
        raise ValueError(f"'{path}' has no variable '{missing[0]}', but {known}; get the original")
    return [[_plain(value) for value in content[name].ravel()] for name in names]


def _plain(value: Any) -> Any:
    """What is in the cells of cells that MATLAB makes of a list of texts."""
    while isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.item() if isinstance(value, np.generic) else value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is not text in UTF-8 ({error.reason}); get the original") from error
