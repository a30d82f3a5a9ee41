"""Tables as LaTeX, in the rules of booktabs, to be read in by a paper's `\\input`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from depictqa.report.table import MARK, Cell, Row, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would be an option of the row before it
    "]": "{]}",
    MARK: r"\dag{}",
    "±": r"$\pm$",
}
_PREAMBLE = "% needs \\usepackage{booktabs,graphicx}; rows marked with a dagger were published elsewhere\n"


def escape(text: str) -> str:
    """Text that is printed as it is."""
    return "".join(_SPECIAL.get(sign, sign) for sign in " ".join(text.split()))


def render(table: Table) -> str:
    """A float, scaled down where it is wider than the text."""
    num_heads = len(table.full_head)
    lines = [
        r"\begin{table*}[t]",
        r"\centering",
        rf"\caption{{{escape(table.title)}}}\label{{tab:{_label(table.name)}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * num_heads}{'r' * len(table.columns)}}}",
        r"\toprule",
        *_headings(table, num_heads),
        r"\midrule",
        *(_row(row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\smallskip{{\footnotesize {escape(note)}}}" for note in table.notes),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def document(tables: Sequence[Table]) -> str:
    return _PREAMBLE + "\n" + "\n".join(map(render, tables))


def _label(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name)


def _headings(table: Table, num_heads: int) -> list[str]:
    names = [*table.full_head, *(column.name for column in table.columns)]
    lines = [_line([escape(name) for name in names])]
    if any(group for group, _ in table.groups):
        spans, rules, start = [""] * num_heads, [], num_heads + 1
        for group, width in table.groups:
            spans.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}" if group else "")
            start += width
        lines = [_line(spans), "".join(rules), *lines]
    return lines


def _row(row: Row) -> str:
    head = [escape(word) for word in row.full_head]
    cells = [_cell(cell) for cell in row.cells]
    if row.published:
        head, cells = ([rf"\textit{{{text}}}" if text else "" for text in part] for part in (head, cells))
    return _line([*head, *cells])


def _cell(cell: Cell) -> str:
    if cell.value is None:
        return "--"
    small = " ".join(escape(part) for part in (cell.interval, cell.count) if part)
    return escape(cell.number) + (rf" {{\scriptsize {small}}}" if small else "")


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
