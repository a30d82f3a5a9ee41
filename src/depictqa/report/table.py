"""A table before it has a format: rows of cells with intervals and counts, measured here or published elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from depictqa.metrics.bootstrap import COUNT, HIGH, LOW

MARK = "†"
"""Stands in every format beside what was published elsewhere and not measured here."""


class Source(StrEnum):
    """Where a row's numbers are from: the results that were read, a publication, or neither."""

    MEASURED = "measured"
    PUBLISHED = "published"
    COMPUTED = "computed"


@dataclass(frozen=True)
class Cell:
    """A number in the unit of its column, with the ends of its 95 % interval and how many answers it is of; a mean over
    runs, with their standard deviation and number; a word; or nothing."""

    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    digits: int = 1
    sd: float | None = None

    @property
    def number(self) -> str:
        if self.value is None:
            return ""
        return self.value if isinstance(self.value, str) else f"{self.value:,.{self.digits}f}"

    @property
    def interval(self) -> str:
        if self.sd is not None:
            return f"± {self.sd:,.{self.digits}f}"
        if self.low is None or self.high is None:
            return ""
        return f"[{self.low:,.{self.digits}f}, {self.high:,.{self.digits}f}]"

    @property
    def count(self) -> str:
        return "" if self.n is None else f"n={self.n:,}"

    @property
    def text(self) -> str:
        """All in one line; `-` for nothing."""
        return " ".join(part for part in (self.number, self.interval, self.count) if part) or "-"


@dataclass(frozen=True)
class Column:
    """`group` is a heading over neighbouring columns."""

    name: str
    group: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Row:
    """`head` says of what the cells are. A published row has no interval and no n, for they would be ours."""

    head: tuple[str, ...]
    cells: tuple[Cell, ...]
    source: Source = Source.MEASURED

    def __post_init__(self) -> None:
        parts = [part for cell in self.cells for part in (cell.n, cell.low, cell.high, cell.sd)]
        ours = any(part is not None for part in parts)
        if self.source is Source.PUBLISHED and ours:
            raise ValueError(f"row '{self.head[0]}' is published, but has an n or an interval")

    @property
    def published(self) -> bool:
        return self.source is Source.PUBLISHED

    @property
    def full_head(self) -> tuple[str, ...]:
        """With the source, and a mark at the name of what was published."""
        name = f"{self.head[0]} {MARK}" if self.published else self.head[0]
        return (name, *self.head[1:], str(self.source))


@dataclass(frozen=True)
class Table:
    """`head` names the words that begin a row; `name` is a file's. `notes` stand at its foot."""

    name: str
    title: str
    head: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if (len(row.head), len(row.cells)) != (len(self.head), len(self.columns)):
                raise ValueError(f"table '{self.name}': row '{row.head}' does not have the table's columns")

    @property
    def full_head(self) -> tuple[str, ...]:
        """With the column that says where a row is from."""
        return (*self.head, "source")

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings in their order, with the number of columns under each."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found

    @property
    def measured(self) -> bool:
        return any(not row.published for row in self.rows)

    def without_empty(self) -> Table:
        """Less the columns, and the words of heads, that no row has anything in."""
        heads = [i for i in range(len(self.head)) if any(row.head[i] for row in self.rows)]
        return self.selected(heads, [i for i in range(len(self.columns)) if _any_value(self.rows, i)])

    def by_group(self) -> list[Table]:
        """A table for each heading, with the rows that have something under it; for places too narrow for all."""
        tables, start = [], 0
        for group, width in self.groups:
            columns = range(start, start + width)
            part = self.selected(range(len(self.head)), columns)
            rows = tuple(row for row in part.rows if any(cell.value is not None for cell in row.cells))
            start += width
            if rows:
                tables.append(
                    replace(part, title=f"{self.title}: {group}" if group else self.title, rows=rows, notes=())
                )
        return [*tables[:-1], replace(tables[-1], notes=self.notes)]

    def selected(self, heads: Sequence[int], columns: Sequence[int]) -> Table:
        rows = (
            replace(row, head=tuple(row.head[i] for i in heads), cells=tuple(row.cells[i] for i in columns))
            for row in self.rows
        )
        return replace(
            self,
            head=tuple(self.head[i] for i in heads),
            columns=tuple(self.columns[i] for i in columns),
            rows=tuple(rows),
        )


def percent(figures: Mapping[str, float], name: str, n: float | None = None) -> Cell:
    """A share of the scorer's in percent, with its interval and number of answers where it has them, else `n` of them;
    an empty cell where there is no such figure."""
    if name not in figures:
        return Cell()
    n = figures.get(f"{name}{COUNT}", n)
    low, high = (100 * figures[f"{name}{end}"] if f"{name}{end}" in figures else None for end in (LOW, HIGH))
    return Cell(100 * figures[name], low, high, None if n is None else round(n))


def plain(figures: Mapping[str, float], name: str, digits: int = 3) -> Cell:
    """A figure as it is; an empty cell where there is none."""
    return Cell(figures.get(name), digits=digits)


def _any_value(rows: Sequence[Row], column: int) -> bool:
    return any(row.cells[column].value is not None for row in rows)
