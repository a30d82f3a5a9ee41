"""Tables as Markdown, in the pipe tables that GitHub and pandoc read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from depictqa.report.table import Row, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$])")


def escape(text: str) -> str:
    """Text that shows as it is: signs of Markdown and HTML lose their meaning, line breaks become spaces."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.replace("&", "&amp;").split()))


def render(table: Table) -> str:
    names = [*table.full_head, *(column.full_name for column in table.columns)]
    align = ["---"] * len(table.full_head) + ["---:"] * len(table.columns)
    lines = [_line([escape(name) for name in names]), _line(align)]
    lines += [_line(_row(row)) for row in table.rows]
    notes = "\n".join(f"- {escape(note)}" for note in table.notes)
    return f"## {escape(table.title)}\n\n" + "\n".join(lines) + (f"\n\n{notes}\n" if notes else "\n")


def document(title: str, lines: Sequence[str], tables: Sequence[Table], plots: Sequence[tuple[str, str]]) -> str:
    """`lines` stand under the title; `plots` are titles and paths relative to the document."""
    under = ["".join(f"- {escape(line)}\n" for line in lines)] if lines else []
    images = [f"![{escape(name)}]({path})\n" for name, path in plots]
    return "\n".join([f"# {escape(title)}\n", *under, *map(render, tables), *images])


def _row(row: Row) -> list[str]:
    head = [escape(word) for word in row.full_head]
    if row.published:
        head[0] = f"*{head[0]}*"
    return head + [escape(cell.text) for cell in row.cells]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
