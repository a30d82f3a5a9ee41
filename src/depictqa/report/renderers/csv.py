"""Tables as CSV to reckon with: numbers at full precision, an interval's ends and counts in columns of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from depictqa.report.table import Cell, Table

_PARTS = ("low", "high", "sd", "n")


def render(table: Table) -> str:
    """Percent where the table has percent. No notes: a file of one header and its rows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = [
        [part for part in _PARTS if any(getattr(row.cells[place], part) is not None for row in table.rows)]
        for place in range(len(table.columns))
    ]
    header = list(table.full_head)
    for column, more in zip(table.columns, parts, strict=True):
        header += [column.full_name, *(f"{column.full_name}, {part}" for part in more)]
    writer.writerow(header)
    for row in table.rows:
        line = list(row.full_head)
        for cell, more in zip(row.cells, parts, strict=True):
            line += _values(cell, more)
        writer.writerow(line)
    return out.getvalue()


def _values(cell: Cell, parts: list[str]) -> Iterator[str]:
    for value in (cell.value, *(getattr(cell, part) for part in parts)):
        if value is None:
            yield ""
        else:
            yield f"{value:.10g}" if isinstance(value, int | float) else value
