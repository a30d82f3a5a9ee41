"""Tables on the console: an interval and a count stand under their number."""

from __future__ import annotations

import rich.table
from rich.console import Console
from rich.text import Text

from depictqa.report.table import Cell, Table

_RULES = 3  # characters that a column takes beside its own


def print_tables(console: Console, tables: list[Table]) -> None:
    """One that is wider than the console is shown a heading's columns at a time."""
    for table in tables:
        narrow = len(table.groups) > 1 and sum(_widths(table)) + 1 > console.width
        for part in table.by_group() if narrow else [table]:
            console.print(render(part))
            for note in part.notes:
                console.print(Text(note, style="dim"))
            console.print()


def render(table: Table) -> rich.table.Table:
    shown = rich.table.Table(title=Text(table.title, style="bold"), title_justify="left")
    widths = [width - _RULES for width in _widths(table)]
    for name, width in zip(_names(table), widths, strict=True):
        is_head = len(shown.columns) < len(table.full_head)
        shown.add_column(Text(name), justify="left" if is_head else "right", min_width=width)
    for row in table.rows:
        cells = [Text("\n").join(map(Text, _lines(cell))) for cell in row.cells]
        shown.add_row(*map(Text, row.full_head), *cells, style="italic dim" if row.published else "")
    return shown


def _names(table: Table) -> list[str]:
    return [*table.full_head, *("\n".join(filter(None, (c.group, c.name))) for c in table.columns)]


def _widths(table: Table) -> list[int]:
    """Of each column with its rules: headings may break between words, numbers and names may not."""
    lines = [[row.full_head[i] for row in table.rows] for i in range(len(table.full_head))]
    lines += [[line for row in table.rows for line in _lines(row.cells[i])] for i in range(len(table.columns))]
    both = zip(_names(table), lines, strict=True)
    return [max(map(len, [*name.split(), *body])) + _RULES for name, body in both]


def _lines(cell: Cell) -> list[str]:
    return [cell.number or "-", *filter(None, (cell.interval, cell.count))]
