"""What a page shows: items from lines or a folder, and images that lose nothing on their way."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageCms

from datamodules.pages.items import Item, png, read_items
from depictqa.image import load_image
from depictqa.sample import Slot
from depictqa.testing import random_image


def save(path, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    random_image(size).save(path)


def lines(path, *values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def test_lines_name_images_relative_to_their_folder(tmp_path):
    for name in ("r.png", "x/a.png", "x/b.png"):
        save(tmp_path / name)
    pair = {"reference": "r.png", "a": "x/a.png", "b": "x/b.png"}
    raw = lines(tmp_path / "items.jsonl", {"key": "1", "images": pair}, {"key": "2", "images": {"a": "x/a.png"}})
    folder, items = read_items(raw)
    assert folder == tmp_path
    assert items[0] == Item("1", {Slot.REFERENCE: "r.png", Slot.A: "x/a.png", Slot.B: "x/b.png"})
    assert [item.assessed for item in items] == [(Slot.A, Slot.B), (Slot.A,)]


def test_a_folder_holds_single_images_and_subfolders(tmp_path):
    for name in ("one.png", "two.jpg", "pair/a.png", "pair/b.png", "pair/ref.png", ".hidden/x.png"):
        save(tmp_path / name)
    (tmp_path / "answers.jsonl").write_text("")
    _, items = read_items(tmp_path)
    pair = {Slot.A: "pair/a.png", Slot.B: "pair/b.png", Slot.REFERENCE: "pair/ref.png"}
    assert [(item.key, item.images) for item in items] == [
        ("one.png", {Slot.A: "one.png"}),
        ("pair", pair),
        ("two.jpg", {Slot.A: "two.jpg"}),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"key": "1", "images": {"a": "../a.png"}}, "line 2: .*leaves the folder"),
        ({"key": "1", "images": {"a": "/etc/passwd"}}, "line 2: .*leaves the folder"),
        ({"key": "1", "images": {"b": "a.png"}}, "line 2: field 'images'"),
        ({"key": "1", "images": {"a": "a.png", "c": "a.png"}}, "names slot 'c'"),
        ({"key": "", "images": {"a": "a.png"}}, "line 2: field 'key' is ''"),
        ({"key": "1", "image": {"a": "a.png"}}, "expected an object of key and images"),
        ({"key": "0", "images": {"a": "a.png"}}, "line 2: key '0' stands on an earlier line"),
        ({"key": "1", "images": {"a": "none.png"}}, "item '1': image 'none.png' not found"),
    ],
)
def test_an_error_names_the_line_and_the_fix(tmp_path, value, message):
    save(tmp_path / "a.png")
    raw = lines(tmp_path / "items.jsonl", {"key": "0", "images": {"a": "a.png"}}, value)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_items(raw)


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no items"):
        read_items(tmp_path)
    with pytest.raises(FileNotFoundError, match="'.*none.jsonl' not found"):
        read_items(tmp_path / "none.jsonl")
    save(tmp_path / "pair" / "left.png")
    with pytest.raises(ValueError, match="pair' holds no image named a"):
        read_items(tmp_path)
    save(tmp_path / "pair" / "a.png")
    save(tmp_path / "pair" / "a.jpg")
    with pytest.raises(ValueError, match="holds two images for 'a'"):
        read_items(tmp_path)


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_images_lose_nothing_and_have_no_colour_profile(tmp_path, name):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    random_image((33, 17)).save(tmp_path / name, icc_profile=profile)
    with Image.open(io.BytesIO(png(tmp_path / name))) as sent:
        assert sent.format == "PNG" and "icc_profile" not in sent.info
        assert np.array_equal(np.asarray(sent), np.asarray(load_image(tmp_path / name)))
