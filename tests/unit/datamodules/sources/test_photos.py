"""The embedded photos are there and in one split each; a user's own are split, captioned or refused in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.shards import SPLITS
from datamodules.sources.photos import (
    ALL,
    MAX_SIDE,
    PHOTOS,
    Photo,
    embedded_photos,
    licences,
    load_pixels,
    own_photos,
    photo_path,
)
from depictqa.questionnaire import TEXTURES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten photos of one colour each."""
    for number in range(10):
        Image.new("RGB", (40, 30), (20 * number, 100, 50)).save(tmp_path / f"photo{number}.png")
    return tmp_path


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_file_is_in_its_package_and_opens(photo: Photo) -> None:
    assert photo_path(photo).is_file()
    pixels = load_pixels(photo)
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    assert 96 <= min(pixels.shape[:2]) and max(pixels.shape[:2]) <= MAX_SIDE
    assert not pixels.flags.writeable  # kept for the next crop


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_what_is_stated_of_a_photo(photo: Photo) -> None:
    assert photo.licence and photo.author and photo.split in SPLITS
    assert photo.regions[-1].box == ALL  # every crop has a region
    for region in photo.regions:
        left, top, right, bottom = region.box
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        assert region.texture in TEXTURES and region.subjects
    pixels = load_pixels(photo).astype(int)
    assert bool(photo.tints) == (np.ptp(pixels, axis=2).max() <= 2)  # only grey photos are tinted


def test_no_photo_is_in_two_splits() -> None:
    assert embedded_photos() is PHOTOS
    assert {photo.split for photo in PHOTOS} == set(SPLITS)
    hashes = [hashlib.sha256(load_pixels(photo).tobytes()).hexdigest() for photo in PHOTOS]
    for distinct in (hashes, [photo.name for photo in PHOTOS], [photo.file for photo in PHOTOS]):
        assert len(set(distinct)) == len(PHOTOS)


def test_first_region_that_holds_the_center_names_it() -> None:
    astronaut = next(photo for photo in PHOTOS if photo.name == "astronaut")
    assert astronaut.region(0.45, 0.2).texture == "Faces"
    assert astronaut.region(0.3, 0.9) is astronaut.regions[-1]


def test_missing_file_names_the_package_to_reinstall() -> None:
    with pytest.raises(FileNotFoundError, match="skimage/data/none.png .* reinstall scikit-image, or give photos=DIR"):
        photo_path(Photo("none", "skimage/data/none.png", "train", "", "", ()))


def test_licences_name_every_photo_and_author() -> None:
    line = licences(PHOTOS)
    assert "\n" not in line
    assert all(photo.name in line and photo.licence in line and photo.author in line for photo in PHOTOS)


@pytest.mark.parametrize(("count", "sizes"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (10, (7, 1, 2))])
def test_own_photos_are_split_by_photo(folder: Path, count: int, sizes: tuple[int, int, int]) -> None:
    for number in range(count, 10):
        (folder / f"photo{number}.png").unlink()
    photos = own_photos(folder, seed=0)
    assert [photo.name for photo in photos] == [f"photo{number}" for number in range(count)]
    assert tuple(sum(photo.split == split for photo in photos) for split in ("train", "val", "test")) == sizes
    assert photos == own_photos(folder, seed=0)
    assert load_pixels(photos[2])[0, 0].tolist() == [40, 100, 50]


def test_split_of_own_photos_depends_on_the_seed(folder: Path) -> None:
    assert len({tuple(photo.split for photo in own_photos(folder, seed)) for seed in range(10)}) > 5


def test_captions_are_lines_beside_the_photo(folder: Path) -> None:
    (folder / "photo3.txt").write_text("A green field\n\n  Grass under a clear sky.  \n", encoding="utf-8")
    by_name = {photo.name: photo for photo in own_photos(folder, seed=0)}
    assert by_name["photo3"].sentences == ("A green field", "Grass under a clear sky.")
    assert by_name["photo4"].sentences == ()
    assert by_name["photo4"].region(0.5, 0.5).texture is None


def test_what_is_no_photo_is_left_alone(folder: Path) -> None:
    for name in ("notes.txt", "paper.pdf", "README", "._photo1.png"):
        (folder / name).write_bytes(b"no image")
    (folder / "deeper.png").mkdir()
    assert len(own_photos(folder, seed=0)) == 10


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_own_photos_are_refused(folder: Path, count: int) -> None:
    for number in range(count, 10):
        (folder / f"photo{number}.png").unlink()
    with pytest.raises(ValueError) as error:
        own_photos(folder, seed=0)
    assert f"holds {count} images; give at least 3" in str(error.value) and "\n" not in str(error.value)


def test_two_photos_of_one_name_and_a_missing_folder_are_refused(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no folder; give one with at least 3 images"):
        own_photos(folder / "none", seed=0)
    Image.new("RGB", (40, 30)).save(folder / "photo1.jpg")
    with pytest.raises(ValueError, match="two images named 'photo1'; rename one"):
        own_photos(folder, seed=0)
