"""Rows become rated images or are set apart; a table that is not the published one is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from datamodules.parts import Rejected
from datamodules.sources.image_files import ImageFiles, need_folders
from datamodules.sources.ratings import Published, RatedImage, Row, rate

PUBLISHED = Published("MADE", "MADE (nobody)", "CC0-1.0", images=4, references=2, lowest=1.0, highest=5.0)
ROWS = [
    Row("row 1", "A_1.png", "a.png", "1.0"),
    Row("row 2", "a_2.PNG", "a.png", 5),
    Row("row 3", "b_1.png", "B.png", 2.5),
    Row("row 4", "b_2.png", "b.png", "3"),
]


@pytest.fixture
def rated(tmp_path):
    """`rate` of rows whose images lie in one folder."""
    for name in ("a_1", "a_2", "b_1", "b_2", "a", "b"):
        (tmp_path / f"{name}.png").touch()

    def call(rows, published=PUBLISHED, unrated=()):
        files = ImageFiles(tmp_path, [tmp_path])
        return rate(rows, published, tmp_path, files, files, unrated)

    return call


def test_a_whole_table(rated, caplog):
    ratings = rated(ROWS)
    assert ratings.images[0] == RatedImage("a_1.png", "a.png", 1.0) and ratings.images[2].reference == "b.png"
    assert [image.score for image in ratings.images] == [1.0, 5.0, 2.5, 3.0]
    assert {image.origin for image in ratings.images} == {"a.png", "b.png"}
    assert ratings.rejected == () and not caplog.records


@pytest.mark.parametrize("score", [None, "", "n/a", float("nan"), "inf"])
def test_a_row_without_a_score(rated, score):
    (rejected,) = rated([replace(ROWS[0], score=score), *ROWS[1:]]).rejected
    assert rejected == Rejected("row 1", f"image 'A_1.png' has no score but {score!r}; get the original table")


@pytest.mark.parametrize("score", [0.9, 5.1, 77])
def test_a_score_outside_the_published_range(rated, score):
    (rejected,) = rated([*ROWS[:3], replace(ROWS[3], score=score)]).rejected
    assert rejected.reason == f"image 'b_2.png' has the score {score:g}; MADE has 1 to 5"


def test_scores_may_have_more_or_fewer_digits(rated):
    assert len(rated([replace(ROWS[0], score=0.97), *ROWS[1:]]).images) == 4


def test_an_image_twice_is_set_apart_once(rated):
    (rejected,) = rated([*ROWS[:3], ROWS[0]], replace(PUBLISHED, references=1)).rejected[:1]
    assert "image 'A_1.png' has a row already; keep one" in rejected.reason


def test_missing_references_and_images_without_rows(rated, tmp_path):
    (tmp_path / "b.png").unlink()
    (tmp_path / "c_1.png").touch()
    (tmp_path / ".c_2.png").touch()
    (tmp_path / "notes.txt").touch()
    reasons = {rejected.name: rejected.reason for rejected in rated(ROWS).rejected}
    assert reasons == {
        "row 3": f"image 'B.png' not found in '{tmp_path}'; put it there",
        "row 4": f"image 'b.png' not found in '{tmp_path}'; put it there",
        f"image '{tmp_path / 'c_1.png'}'": "no row in the table of MADE rates it; get the whole table",
    }
    assert len(rated(ROWS, unrated={"c_1.png"}).rejected) == 2


def test_more_rows_than_published_are_another_table(rated):
    with pytest.raises(ValueError, match="the table of MADE has 5 rows, not 4; get the original"):
        rated([*ROWS, ROWS[0]])


def test_a_whole_table_in_another_scale_is_refused(rated):
    with pytest.raises(ValueError, match="the scores of MADE go from 1 to 3, not from 1 to 5; get the table in its"):
        rated([ROWS[0], replace(ROWS[1], score=2), *ROWS[2:]])


def test_a_whole_table_with_other_references_is_refused(rated):
    with pytest.raises(ValueError, match="the table of MADE names 1 references, not 2; get the original"):
        rated([replace(row, reference="a.png") for row in ROWS])


def test_a_part_of_a_table_is_told(rated, caplog):
    assert len(rated(ROWS[:3]).images) == 3
    assert caplog.messages == ["MADE: the table has 3 of 4 rows"]


def test_folders_are_found_in_any_case(tmp_path):
    for name in ("Part_2", "part 1", "other"):
        (tmp_path / name).mkdir()
    assert need_folders(tmp_path, "Part 1", "Part_2", origin="X") == [tmp_path / "Part_2", tmp_path / "part 1"]
    with pytest.raises(FileNotFoundError, match="images' is missing; get it from X and unpack it there"):
        need_folders(tmp_path, "images", origin="X")


def test_files_are_found_by_the_end_of_their_path(tmp_path):
    for name in ("jp2k/Deep/img1.BMP", "jpeg/img1.bmp"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    shallow, deep = (ImageFiles(tmp_path, [tmp_path], depth) for depth in (1, 2))
    assert shallow.find("x/IMG1.bmp") == "jp2k/Deep/img1.BMP"
    assert deep.find("jpeg/img1.bmp") == "jpeg/img1.bmp" and deep.find("jp2k/img1.bmp") is None
    assert Path(deep.key("a/B/C.png")) == Path("b/c.png")
