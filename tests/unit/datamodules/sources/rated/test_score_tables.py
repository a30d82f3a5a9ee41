"""Tables that cannot be what they should be are named, with what is in them."""

import numpy as np
import pytest
from openpyxl import Workbook
from scipy.io import savemat

from datamodules.sources.score_tables import read_csv, read_lines, read_mat, read_sheet


def test_csv(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('\ufeffname , mos\n a.png, 1.5\n"b,c.png",2\nd.png\n', encoding="utf-8")
    assert list(read_csv(path, "mos", "name")) == [
        (f"'{path}' row 1", ["1.5", "a.png"]),
        (f"'{path}' row 2", ["2", "b,c.png"]),
        (f"'{path}' row 3", ["", "d.png"]),
    ]
    with pytest.raises(ValueError, match="x.csv' has no column 'dmos', but name, mos; get the original"):
        list(read_csv(path, "name", "dmos"))
    path.write_text("")
    with pytest.raises(ValueError, match="has no column 'mos', but none"):
        list(read_csv(path, "mos"))


def test_a_table_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"name,mos\n\xff\xfe\x00\n")
    for read in (lambda: read_csv(path, "mos"), lambda: read_lines(path)):
        with pytest.raises(ValueError, match="x.csv' is not text in UTF-8.*; get the original"):
            list(read())


def test_lines(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("1.5  a.bmp\r\n\r\n2 b.bmp")
    assert list(read_lines(path)) == [(f"'{path}' line 1", ["1.5", "a.bmp"]), (f"'{path}' line 3", ["2", "b.bmp"])]
    assert list(read_lines(path, ","))[0][1] == ["1.5  a.bmp"]


def test_sheet(tmp_path):
    path, book = tmp_path / "x.xlsx", Workbook()
    book.active.title = "first"
    sheet = book.create_sheet("second")
    for row in ([], ["about"], [None, "name", "other", "mos "], [None, 1600, 0, 0.5], [], [None, "b", 1, None]):
        sheet.append(row)
    book.save(path)
    assert [values for _, values in read_sheet(path, "second", "name", "mos")] == [[1600, 0.5], ["b", None]]
    assert next(read_sheet(path, "second", "name", "mos"))[0] == f"'{path}' row 4"
    with pytest.raises(ValueError, match="x.xlsx' has no sheet 'third', but first, second; get the original"):
        list(read_sheet(path, "third", "name"))
    with pytest.raises(ValueError, match="x.xlsx' has no row that names the columns name, dmos; get the original"):
        list(read_sheet(path, "second", "name", "dmos"))
    with pytest.raises(ValueError, match="has no row that names the columns name"):
        list(read_sheet(path, None, "name"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="x.xlsx' is not an Excel file .*; copy it again"):
        list(read_sheet(path, None, "name"))


def test_mat(tmp_path):
    path = tmp_path / "x.mat"
    names = np.empty((2, 1), dtype=object)
    names[:, 0] = ["a.bmp", "b.bmp"]
    savemat(path, {"names": names, "scores": np.array([[1.5, np.nan]])})
    texts, (first, second) = read_mat(path, "names", "scores")
    assert texts == ["a.bmp", "b.bmp"] and first == 1.5 and second != second
    with pytest.raises(ValueError, match="x.mat' has no variable 'dmos', but names, scores; get the original"):
        read_mat(path, "dmos")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="x.mat' is no MATLAB file up to v7 .*; copy it again"):
        read_mat(path, "names")
