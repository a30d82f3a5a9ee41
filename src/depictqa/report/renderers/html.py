"""Tables and plots as one HTML page that needs no other file; to be read on a screen, and to be printed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from depictqa.report.table import Cell, Row, Table

STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1f2328; background: #fff;
  margin: 2.5rem auto; max-width: 84rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 0 0 .6rem; }
header p { color: #59636e; margin: .1rem 0; }
section { margin: 2.6rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid #1f2328; border-bottom: 2px solid #1f2328; }
th, td { padding: .3rem .62rem; text-align: left; vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; white-space: nowrap; }
thead tr:last-child th { border-bottom: 1px solid #1f2328; }
th.group { text-align: center; border-bottom: 1px solid #9aa4af; }
tbody tr + tr td { border-top: 1px solid #e7eaee; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.number small { display: block; color: #6b7580; font-size: .8em; line-height: 1.3; }
td.head { white-space: nowrap; }
td.source, td.none { color: #8b949e; }
tr.published td { background: #f5f6f8; font-style: italic; color: #4a535d; }
.notes { color: #59636e; font-size: .82rem; line-height: 1.45; max-width: 62rem; margin: .7rem 0 0; padding: 0;
  list-style: none; }
.notes li { margin: .15rem 0; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
figure { margin: 0; } figure img { width: 30rem; max-width: 100%; height: auto; }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { margin: 0; max-width: none; padding: 0; font-size: 9.5pt; }
  section { break-inside: avoid; margin: 1.4rem 0; } .scroll { overflow: visible; }
  h1 { font-size: 14pt; } h2 { font-size: 11pt; } .notes { font-size: 7.5pt; max-width: none; }
  table { font-size: 8pt; } th, td { padding: .14rem .3rem; } thead { display: table-header-group; }
  tr { break-inside: avoid; } tr.published td { print-color-adjust: exact; }
}
"""


def page(title: str, lines: Sequence[str], tables: Sequence[Table], plots: Sequence[tuple[str, bytes]]) -> str:
    """`lines` stand under the title; `plots` are titles and PNG files."""
    under = "".join(f"<p>{escape(line)}</p>" for line in lines)
    body = [f"<header><h1>{escape(title)}</h1>{under}</header>", *map(render, tables)]
    if plots:
        images = "".join(_figure(name, png) for name, png in plots)
        body.append(f'<section><h2>Plots</h2><div class="plots">{images}</div></section>')
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
    )
    return head + "<body>" + "\n".join(body) + "</body></html>\n"


def render(table: Table) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    rows = "\n".join(map(_row, table.rows))
    return (
        f'<section id="{escape(table.name)}"><h2>{escape(table.title)}</h2><div class="scroll"><table>'
        f"<thead>{_headings(table)}</thead><tbody>\n{rows}\n</tbody></table></div>"
        f'<ul class="notes">{notes}</ul></section>'
    )


def _headings(table: Table) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in table.full_head)
    names = "".join(f'<th class="number">{escape(column.name)}</th>' for column in table.columns)
    if not any(group for group, _ in table.groups):
        return f"<tr>{heads}{names}</tr>"
    spans = "".join(
        f'<th class="group" colspan="{width}">{escape(group)}</th>' if group else f'<th colspan="{width}"></th>'
        for group, width in table.groups
    )
    return f'<tr><th colspan="{len(table.full_head)}"></th>{spans}</tr><tr>{heads}{names}</tr>'


def _row(row: Row) -> str:
    *words, source = row.full_head
    heads = "".join(f'<td class="head">{escape(word)}</td>' for word in words)
    heads += f'<td class="head source">{escape(source)}</td>'
    kind = ' class="published"' if row.published else ""
    return f"<tr{kind}>{heads}{''.join(map(_cell, row.cells))}</tr>"


def _cell(cell: Cell) -> str:
    if cell.value is None:
        return '<td class="number none">-</td>'
    under = "".join(f"<small>{escape(part)}</small>" for part in (cell.interval, cell.count) if part)
    return f'<td class="number">{escape(cell.number)}{under}</td>'


def _figure(name: str, png: bytes) -> str:
    data = b64encode(png).decode("ascii")
    return f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{data}"></figure>'
