from __future__ import annotations

import pytest

from depictqa.report.table import Cell, Column, Row, Source, Table, percent

ONE = Row(("ours", ""), (Cell(50.0, 40.0, 60.0, 10), Cell(), Cell(1.0)))
OTHER = Row(("theirs", ""), (Cell(80.3), Cell(), Cell()), Source.PUBLISHED)
TABLE = Table("t", "T", ("method", "run"), (Column("x", "g"), Column("y", "g"), Column("z", "h")), (ONE, OTHER), ("n",))


@pytest.mark.parametrize("cell", [Cell(80.3, n=10), Cell(80.3, 79.0, 82.0), Cell(n=3)])
def test_a_published_row_has_no_n_and_no_interval(cell):
    with pytest.raises(ValueError, match="'DepictQA' is published, but has an n or an interval"):
        Row(("DepictQA",), (cell,), Source.PUBLISHED)


def test_a_row_has_the_tables_columns():
    with pytest.raises(ValueError, match="does not have the table's columns"):
        Table("t", "T", ("method",), (Column("x"),), (Row(("m",), ()),))


def test_what_is_empty_in_all_rows_goes():
    table = TABLE.without_empty()
    assert table.head == ("method",) and [column.name for column in table.columns] == ["x", "z"]
    assert table.rows[0].cells == (ONE.cells[0], ONE.cells[2]) and table.rows[1].source is Source.PUBLISHED


def test_a_wide_table_falls_into_its_groups():
    first, second = TABLE.by_group()
    assert (first.title, second.title) == ("T: g", "T: h") and (first.notes, second.notes) == ((), ("n",))
    assert [row.head[0] for row in first.rows] == ["ours", "theirs"] and [row.head[0] for row in second.rows] == [
        "ours"
    ]


def test_words_of_cells():
    assert Cell(50.0, 40.0, 60.0, 1000).text == "50.0 [40.0, 60.0] n=1,000"
    assert (Cell().text, Cell("fail").text, Cell(0.1234, digits=3).text) == ("-", "fail", "0.123")
    figures = {"x": 0.5, "x_low": 0.4, "x_high": 0.6, "x_n": 7.0, "y": 0.25}
    assert percent(figures, "x", 9) == Cell(50.0, 40.0, 60.0, 7)
    assert percent(figures, "y", 9) == Cell(25.0, n=9) and percent(figures, "z", 9) == Cell()
