from __future__ import annotations

import pytest

from depictqa.report.folder import HTML, PARTS, file_names, report_folder, write_report
from depictqa.report.table import Cell, Column, Row, Table

TABLE = Table("a b", "A", ("method",), (Column("x"),), (Row(("m",), (Cell(1.0),)),))


def write(out, tables=(TABLE,)):
    with report_folder(out) as folder:
        write_report(folder, "R", [], tables, [("p q", "P", b"png")])


def test_a_report_is_replaced_whole(tmp_path):
    out = tmp_path / "new" / "report"
    write(out, [TABLE, TABLE])
    assert {path.name for path in out.iterdir()} == PARTS
    assert sorted(path.name for path in (out / "tables").iterdir()) == ["a_b.csv", "a_b~2.csv"]
    assert (out / "plots" / "p_q.png").read_bytes() == b"png"
    write(out)
    assert [path.name for path in (out / "tables").iterdir()] == ["a_b.csv"]
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_on_an_error_the_old_report_stays(tmp_path):
    out = tmp_path / "report"
    write(out)
    before = (out / HTML).read_bytes()
    with pytest.raises(RuntimeError), report_folder(out) as folder:
        (folder / HTML).write_text("half")
        raise RuntimeError
    assert (out / HTML).read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["report"]


def test_nobodys_files_are_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds 'thesis.tex', which is no part of a report.*\(out\)"):
        write(tmp_path)
    with pytest.raises(ValueError, match=r"'.*thesis.tex' is a file.*\(out\)"):
        write(tmp_path / "thesis.tex")
    with pytest.raises(ValueError, match=r"cannot be written to '.*under'.*\(out\)"):
        write(tmp_path / "thesis.tex" / "under")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_file_names_are_plain_and_differ():
    assert file_names(["../x/y", "X_Y", "", "é"]) == ["x_y", "X_Y~2", "table", "table~2"]
