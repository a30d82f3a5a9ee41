"""Raw files: paths stay inside, and images are what their names say."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from datamodules.raw import need_file, need_folder, path_inside, read_image


def image(kind="PNG", size=(20, 10)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (10, 200, 30)).save(buffer, kind)
    return buffer.getvalue()


def test_reads_the_bytes_of_an_image(tmp_path):
    for kind, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("BMP", "BMP")):
        (tmp_path / f"x.{suffix}").write_bytes(image(kind))
        assert read_image(tmp_path, f"x.{suffix}") == image(kind)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (image("JPEG"), "x.png' holds a JPEG, not what its name says"),
        (image(size=(1, 1)), "x.png' has 1x1 px; images have 8 to 16384 px a side"),
        (image(size=(30_000, 9)), "x.png' has 30000x9 px"),
        (b"no image", "x.png' cannot be read"),
        (b"", "x.png' cannot be read"),
    ],
)
def test_unfit_images_are_named(tmp_path, data, message):
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path, "x.png")


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png"])
def test_paths_stay_inside(tmp_path, name):
    with pytest.raises(ValueError, match="leaves the data root"):
        path_inside(tmp_path, name)


def test_what_is_missing_is_named_with_its_origin(tmp_path):
    with pytest.raises(FileNotFoundError, match="image '.*x.png' not found"):
        read_image(tmp_path, "x.png")
    with pytest.raises(FileNotFoundError, match="dmos.csv' is missing; get it from somewhere"):
        need_file(tmp_path, "dmos.csv", "dmos.txt", origin="somewhere")
    (tmp_path / "dmos.txt").touch()
    assert need_file(tmp_path, "dmos.csv", "dmos.txt", origin="somewhere").name == "dmos.txt"
    with pytest.raises(FileNotFoundError, match="is not a folder; give the root"):
        need_folder(tmp_path / "nowhere", "the root")
