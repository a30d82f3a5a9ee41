import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import datamodules.shards as shards
from datamodules.indexed import IndexedShards
from datamodules.records import Record
from datamodules.shards import ShardWriter
from depictqa.image import ImageGeometry
from depictqa.sample import Slot, Task, Truth


def test_reads_back_every_sample_in_any_order(tmp_path, made):
    made.write(tmp_path)
    read = IndexedShards(tmp_path, "train")
    assert len(read) == 14
    for index in (13, 0, 6, 7, 5):
        number, sample = divmod(index, 2)
        got = read[index]
        assert got.key == f"made/{number:04d}/{sample}"
        assert (got.dialogue, got.truth) == (made.pair.dialogue, made.pair.truth)
        assert got.full_reference == (sample == 0)
        for slot, image in got.images.items():
            assert np.array_equal(image, made.record(number).images[slot])
    assert [sample.key for sample in read] == [read.entry(i).key for i in range(14)]
    assert read[-1].key == "made/0006/1"
    assert [sample.key for sample in read[2:4]] == ["made/0001/0", "made/0001/1"]
    with pytest.raises(IndexError):
        read[14]


def test_entry_tells_sizes_without_opening_the_tar(tmp_path, made):
    folder = made.write(tmp_path)
    read = IndexedShards(tmp_path, "train", source="other")
    for tar in folder.glob("*.tar"):
        tar.unlink()
    entry = read.entry(0)
    assert entry.key == "other/0000/0"
    assert entry.task is Task.COMPARISON
    assert entry.slots == {Slot.REFERENCE: (20, 14), Slot.A: (20, 14), Slot.B: (20, 14)}
    assert entry.dialogue == made.pair.dialogue
    assert entry.truth == made.pair.truth and entry.full_reference
    without_truth = [replace(read.entry(i), truth=Truth()) for i in range(len(read))]
    assert list(read.entries()) == without_truth


def test_manifest_counts_hashes_and_names_references(tmp_path, made):
    folder = made.write(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["records"], manifest["samples"], manifest["tasks"]) == (7, 14, {"comparison": 14})
    assert (manifest["source"], manifest["licence"], manifest["seed"]) == ("made", "CC0-1.0", 5)
    assert [shard["records"] for shard in manifest["shards"]] == [3, 3, 1]
    for shard in manifest["shards"]:
        data = (folder / f"{shard['name']}.tar").read_bytes()
        assert shard["bytes"] == len(data)
        assert shard["sha256"] == hashlib.sha256(data).hexdigest()
    assert {f"photo{n}" for n in range(7)} <= set(manifest["references"])
    assert len(manifest["references"]) == 14, "each reference image's content is noted too"


def test_same_records_give_the_same_bytes(tmp_path, made):
    first, second = made.write(tmp_path / "a"), made.write(tmp_path / "b")
    for file in sorted(os.listdir(first)):
        assert (first / file).read_bytes() == (second / file).read_bytes()


def test_members_are_sorted_and_whole_json_is_in_the_tar(tmp_path, made):
    folder = made.write(tmp_path, numbers=[1])
    with tarfile.open(folder / "shard-000000.tar") as tar:
        assert tar.getnames() == ["0001.a.png", "0001.b.png", "0001.json", "0001.ref.png"]
        inside = json.load(tar.extractfile("0001.json"))
    index = json.loads((folder / "shard-000000.index.json").read_text())
    assert index["records"][0]["samples"] == inside["samples"]


def test_plain_webdataset_reads_the_shards(tmp_path, made):
    folder = made.write(tmp_path)
    code = (
        "import webdataset, glob, sys\n"
        "urls = sorted(glob.glob(sys.argv[1] + '/*.tar'))\n"
        "for s in webdataset.WebDataset(urls, shardshuffle=False).decode('pil'):\n"
        "    print(s['__key__'], sorted(k for k in s if k[0] != '_'), end=' ')\n"
        "    print(len(s['json']['samples']), s['a.png'].size)\n"
    )
    environment = {**os.environ, "WDS_SECURE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, env=environment
    )
    expected = [f"{n:04d} ['a.png', 'b.png', 'json', 'ref.png'] 2 (20, 14)" for n in range(7)]
    assert run.stdout.splitlines() == expected


def test_png_bytes_are_kept_and_others_become_lossless_png(tmp_path, made):
    png, jpeg = io.BytesIO(), io.BytesIO()
    made.picture(1).save(png, "PNG")
    made.picture(2, (64, 48)).save(jpeg, "JPEG", quality=50)
    images = {Slot.A: png.getvalue(), Slot.B: jpeg.getvalue()}
    with ShardWriter(tmp_path, "val", source="made", licence="x", seed=0) as writer:
        writer.write(Record("k", images, (made.pair,)))
    with tarfile.open(tmp_path / "val" / "shard-000000.tar") as tar:
        assert tar.extractfile("k.a.png").read() == png.getvalue()
        stored = Image.open(io.BytesIO(tar.extractfile("k.b.png").read()))
    assert stored.format == "PNG"
    assert np.array_equal(stored, Image.open(jpeg).convert("RGB"))


def test_bake_stores_the_scaled_image_and_says_so(tmp_path, made):
    geometry = ImageGeometry(patch=4, short_side=8, long_side=40, min_side=8)
    folder = made.write(tmp_path, numbers=[0], bake=geometry)
    image = IndexedShards(tmp_path, "train")[0].images[Slot.A]
    assert image.size == geometry.resized((20, 14)) == (11, 8)
    original = made.record(0).images[Slot.A]
    assert np.array_equal(geometry.prepare(image), geometry.prepare(original))
    assert json.loads((folder / "shard-000000.index.json").read_text())["baked"] == [8, 40]


@pytest.mark.parametrize("writes", [0, 2, 5])
def test_an_exception_leaves_nothing_behind(tmp_path, writes, made):
    with pytest.raises(RuntimeError):
        with ShardWriter(tmp_path, "train", source="made", licence="x", seed=0, records_per_shard=2) as writer:
            for number in range(writes):
                writer.write(made.record(number))
            raise RuntimeError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("after", [0, 3000, 9000, 10_000_000])
def test_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path, monkeypatch, after, made):
    """Every write past `after` bytes fails as on a full disk; the last case fails in fsync."""
    written = 0
    write_bytes = shards._Hashed.write

    def limited(self, data):
        nonlocal written
        written += len(data)
        if written > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(self, data)

    def no_sync(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards._Hashed, "write", limited)
    if after == 10_000_000:
        monkeypatch.setattr(shards, "_flush", no_sync)
    with pytest.raises(ValueError, match=r"cannot write '.*train': No space left on device; free space") as error:
        made.write(tmp_path, numbers=range(4), records_per_shard=2)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_real_full_device_is_one_line(tmp_path, monkeypatch, made):
    """The system's own ENOSPC, through /dev/full."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    real_open = open
    monkeypatch.setattr(
        shards,
        "open",
        lambda path, mode, **rest: real_open("/dev/full" if str(path).endswith(".tar") else path, mode, **rest),
        raising=False,
    )
    with pytest.raises(ValueError, match="No space left on device"):
        made.write(tmp_path)
    assert os.listdir(tmp_path) == []


def test_refuses_what_would_be_lost(tmp_path, made):
    made.write(tmp_path)
    with pytest.raises(ValueError, match="exists already; remove it"):
        made.write(tmp_path)
    with pytest.raises(ValueError, match="split 'vall' unknown; choose train, val, test"):
        made.write(tmp_path, split="vall")
    with pytest.raises(ValueError, match="'0001': key written twice"):
        made.write(tmp_path, split="val", numbers=[1, 1])
    with pytest.raises(ValueError, match="made val got no records"):
        made.write(tmp_path, split="val", numbers=[])
    with pytest.raises(ValueError, match="'bad' a' cannot be decoded"):
        with ShardWriter(tmp_path, "val", source="made", licence="x", seed=0) as writer:
            writer.write(Record("bad", {Slot.A: b"junk", Slot.B: made.picture(0)}, (made.pair,)))
    assert sorted(os.listdir(tmp_path)) == ["train"]
