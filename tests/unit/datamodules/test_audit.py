"""The check of a folder of shards: true counts, damage and leaks found, and a page that shows them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from datamodules.audit import audit
from datamodules.audit_page import render, write_page
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.sample import Distortion, Slot, Task, Truth, Turn


def image(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8))


def pair(number: int, images: tuple[int, int]) -> Record:
    truth = Truth(
        better=Slot.A if number % 4 else Slot.B,
        distortions={Slot.A: (Distortion("noise", "speckle", 1 + number % 5),), Slot.B: ()},
    )
    sample = RecordSample(Task.COMPARISON, (Slot.A, Slot.B), (Turn("Which is <b>better</b>?", "Image A"),), truth)
    return Record(
        f"{number:04d}", dict(zip((Slot.A, Slot.B), map(image, images), strict=True)), (sample,), f"r{number}"
    )


def write(root, split, records, per_shard=4):
    with ShardWriter(
        root / "templated", split, source="<made>", licence="CC0-1.0", seed=7, records_per_shard=per_shard
    ) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "train", [pair(number, (2 * number, 2 * number + 1)) for number in range(10)])
    write(tmp_path, "test", [pair(number, (1000 + number, 2000)) for number in range(100, 104)])
    return tmp_path


def test_counts_what_is_there(root):
    found = audit(root)
    assert found.problems == ()
    train = found.counts["templated/train"]
    assert train.records == 10 and train.tasks == {("comparison", "without"): 10}
    assert train.better == {"a": 7, "b": 3}
    assert train.severities == Counter({("noise", level): 2 for level in range(1, 6)}) + Counter({("clean", 0): 10})
    assert train.answers == {"Image A": 10} and train.sizes == {(12, 10): 20}
    assert sorted(found.counts["templated/test"].images.values()) == [1, 1, 1, 1, 4]
    assert len(train.images) == 20


def test_processes_count_the_same(root):
    assert audit(root, num_workers=2).counts == audit(root).counts


def test_images_and_references_on_both_sides_are_named(root):
    write(root, "val", [pair(3, (6, 3000)), pair(77, (5000, 7))])
    problems = audit(root).problems
    assert len(problems) == 2
    assert "1 references are in both templated/train and templated/val: 'r3'" in problems[0]
    assert "2 images are in both templated/train and templated/val: " in problems[1]
    assert "<made>/0003 a = <made>/0003 a" in problems[1]


def test_damage_is_named(root):
    tar = root / "templated/train/shard-000001.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    (root / "templated/train/shard-000002.tar").write_bytes(b"cut")
    first, second = audit(root).problems
    assert "templated/train: shard-000001.tar has sha256" in first and "build it again" in first
    assert "shard-000002.tar" in second


def test_the_page_shows_it_and_escapes_what_comes_from_data(root, tmp_path):
    page = write_page(audit(root), root, tmp_path / "check.html").read_text()
    assert "No problem found" in page and "<made>" not in page and "&lt;made&gt;" in page
    assert page.count("<svg") == 8, "four plots of each split"
    assert "noise" in page and "Image A" in page
    assert page == render(audit(root), root), "the same page for the same shards"
    write(root, "val", [pair(3, (6, 3000))])
    assert "images are in both templated/train and templated/val" in render(audit(root), root)


def test_a_folder_without_shards_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no shards"):
        audit(tmp_path)
