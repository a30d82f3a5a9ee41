"""Scored images as they are evaluated on: the split of a build, larger scores for better images, files opened late."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from datamodules.rated_groups import rated_groups
from datamodules.sources import csiq, kadid, koniq

SHARES = {"val": 0.25, "test": 0.5}


def groups(module, raw, seed=0, **options):
    return rated_groups(raw, module.read(raw), module.PUBLISHED, seed, **(SHARES | options))


def test_every_layout_gives_its_images_with_the_better_ones_above(layout, tmp_path):
    raw = layout.make(tmp_path)
    found = groups(layout.module, raw, split="all")
    published = layout.module.PUBLISHED
    assert sum(len(group.images) for group in found) == len(layout.rows)
    mos = {image.name: image.mos for group in found for image in group.images}
    assert len(mos) == len(layout.rows)
    best = min if not published.higher_is_better else max
    true = best(layout.rows, key=lambda row: row[2])
    top = max(mos, key=mos.get)
    assert true[0].lower().endswith(top.lower().rpartition("/")[2]) and abs(mos[top]) == pytest.approx(abs(true[2]))
    for group in found:
        assert (group.open_reference is None) == (published.references == 0) == (group.reference == "")
        assert group.images[0].open().size == (10, 9)
        if group.open_reference:
            assert group.open_reference().size == (10, 9)


def test_the_split_is_that_of_the_builds(all_layouts, tmp_path):
    raw = all_layouts["kadid"].make(tmp_path)
    parts = kadid.parts(raw, 7, margin=0.5, pairs_per_reference=50, **SHARES)
    for part in parts:
        built = {item.reference.rpartition("/")[2].lower() for item in part.items}
        assert {group.reference for group in groups(kadid, raw, seed=7, split=part.split)} == built
    assert len(groups(kadid, raw, seed=7)) == 2 and len(groups(kadid, raw, seed=7, split="all")) == 4


def test_the_published_split_of_photos_is_kept(all_layouts, tmp_path):
    raw = all_layouts["koniq"].make(tmp_path)
    names = [row[0] for row in all_layouts["koniq"].rows]
    lines = [f"{name},{'test' if n < 9 else 'training'}" for n, name in enumerate(names)]
    (raw / koniq.SETS).write_text("\n".join(["image_name,set", *lines]))
    found = groups(koniq, raw)
    assert {image.name for group in found for image in group.images} == set(names[:9])
    assert len(groups(koniq, raw, num_images=4)) == 4


def test_limits_take_the_same_ones_in_an_order_of_no_meaning(all_layouts, tmp_path):
    raw = all_layouts["csiq"].make(tmp_path)
    whole = groups(csiq, raw, split="all")
    few = groups(csiq, raw, split="all", num_references=1, num_images=3)
    assert [group.reference for group in few] == [whole[0].reference]
    assert [image.name for image in few[0].images] == [image.name for image in whole[0].images[:3]]
    names = [image.name for image in whole[0].images]
    assert names != sorted(names) and names[0].count("/") == 1


def test_photos_are_scaled_down(all_layouts, tmp_path):
    raw = all_layouts["koniq"].make(tmp_path)
    assert groups(koniq, raw, split="all", long_side=5)[0].images[0].open().size in ((5, 4), (5, 5))


def test_what_is_set_apart_is_told(all_layouts, tmp_path, caplog):
    raw = all_layouts["kadid"].make(tmp_path)
    (raw / "kadid10k/images" / all_layouts["kadid"].rows[0][0]).unlink()
    with caplog.at_level(logging.WARNING):
        groups(kadid, raw, split="all")
    assert "KADID-10k: 1 rows or images are set apart and not asked about" in caplog.text


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"split": "vall"}, "split 'vall' unknown; choose train, val, test or all"),
        ({"split": "val", "val": 0.0}, "no image of KADID-10k is in 'val'"),
        ({"num_images": 0}, "num_images is 0"),
        ({"num_references": -1}, "num_references is -1"),
    ],
)
def test_mistakes_are_named(all_layouts, tmp_path, options, names):
    raw = all_layouts["kadid"].make(tmp_path)
    with pytest.raises(ValueError, match=names):
        groups(kadid, raw, **options)


def test_an_image_that_is_none_is_an_error_when_it_is_opened(all_layouts, tmp_path):
    raw = all_layouts["kadid"].make(tmp_path)
    name = all_layouts["kadid"].rows[3][0]
    (raw / "kadid10k/images" / name).write_bytes(np.random.default_rng(0).bytes(80))
    images = {image.name: image for group in groups(kadid, raw, split="all") for image in group.images}
    with pytest.raises(ValueError, match=f"{name}.*cannot be read"):
        images[name].open()
