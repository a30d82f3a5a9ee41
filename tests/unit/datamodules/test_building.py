"""Building shards from parts: the same bytes by any number of processes, whole or not at all, resumed after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import building
from datamodules.building import build
from datamodules.indexed import IndexedShards
from datamodules.parts import Part, Rejected
from datamodules.records import Record, RecordSample
from depictqa.sample import Slot, Task, Turn

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Maker:
    """Noise images; a negative item is one that cannot be made. `seconds` to make one; a file counts what was made."""

    name: str
    seconds: float = 0.0
    made: str = ""

    def make(self, number: int, item: int) -> Record:
        if item < 0:
            raise ValueError(f"item {item} is negative")
        time.sleep(self.seconds)
        if self.made:
            with open(self.made, "a") as file:
                file.write(f"{number}\n")
        pixels = np.random.default_rng([item, len(self.name)]).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        sample = RecordSample(Task.DESCRIPTION, (Slot.A,), (Turn("What?", f"Item {item}."),))
        return Record(f"{number:06d}", {Slot.A: Image.fromarray(pixels)}, (sample,), f"{self.name}{item}")


def parts(counts: dict[str, int], **options) -> list[Part]:
    return [
        Part("templated", split, range(count), Maker(split, **options).make, "CC0-1.0")
        for split, count in counts.items()
    ]


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_processes_do_not_change_a_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "SMALL", 1)
    for workers in (1, 3):
        out = tmp_path / str(workers)
        counts = build(parts({"train": 25, "test": 5}), out, seed=0, records_per_shard=4, num_workers=workers)
        assert counts == {"templated/train": 25, "templated/test": 5}
    assert hashes(tmp_path / "1") == hashes(tmp_path / "3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]
    names = {path.name for path in (tmp_path / "1/templated/train").iterdir()}
    assert names == {"manifest.json"} | {
        f"shard-{n:06d}.{kind}" for n in range(7) for kind in ("tar", "index.json")
    }  # fmt: skip
    answers = [sample.dialogue[0].answer for sample in IndexedShards(tmp_path / "3/templated", "train")]
    assert answers == [f"Item {n}." for n in range(25)]


def test_goes_on_after_a_kill_with_what_was_finished(tmp_path):
    """SIGKILL at a moment when some shards are finished; the rest is made, and nothing of the finished again."""
    out, made = tmp_path / "out", tmp_path / "made"
    code = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "src")!r}, {str(Path(__file__).parent)!r}]
from test_building import building, parts
building.SMALL = 1
if __name__ == "__main__":
    building.build(parts({{"train": 40}}, seconds=0.02, made={str(made)!r}), building.Path({str(out)!r}),
                   seed=0, records_per_shard=5, num_workers=2)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)])
    reports = tmp_path / ".out.partial/templated/train"
    while len(list(reports.glob("*.report.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    time.sleep(0.5)  # its processes end with it
    finished = {int(path.name[6:12]) for path in reports.glob("*.report.json")}
    assert 3 <= len(finished) < 8
    first = made.read_text().splitlines()
    time.sleep(0.2)
    assert made.read_text().splitlines() == first, "a process lives on"

    subprocess.run([sys.executable, str(script)], check=True)
    again = made.read_text().splitlines()[len(first) :]
    assert sorted(map(int, again)) == [n for n in range(40) if n // 5 not in finished]
    build(parts({"train": 40}), tmp_path / "unbroken", seed=0, records_per_shard=5)
    assert hashes(out) == hashes(tmp_path / "unbroken")


def test_another_build_does_not_go_on_with_what_is_not_its_own(tmp_path):
    partial_folder = tmp_path / ".out.partial"
    whole = parts({"train": 8})
    with pytest.raises(KeyboardInterrupt):
        build(whole, tmp_path / "out", seed=0, records_per_shard=4, progress=_interrupt)
    assert len(list(partial_folder.rglob("*.report.json"))) == 1
    build(whole, tmp_path / "out", seed=1, records_per_shard=4)
    assert json.loads((tmp_path / "out/templated/train/manifest.json").read_text())["seed"] == 1
    assert not partial_folder.exists()


def _interrupt(part, done):
    raise KeyboardInterrupt


def test_what_cannot_be_made_is_named_and_the_rest_is_built(tmp_path):
    items = [*range(198), -7, Rejected("row 12 of the table", "no score")]
    some = [Part("templated", "train", items, Maker("x").make, "CC0-1.0")]
    assert build(some, tmp_path / "out", seed=0) == {"templated/train": 198}
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert rejected == [
        {"name": "templated/train record 198", "reason": "item -7 is negative"},
        {"name": "row 12 of the table", "reason": "no score"},
    ]


def test_too_many_of_them_stop_the_build(tmp_path):
    items = [*range(197), -1, -2, -3]
    some = [Part("templated", "train", items, Maker("x").make, "CC0-1.0")]
    with pytest.raises(ValueError, match="3 of 200 records cannot be made, more than max_rejected=0.01.*item -1"):
        build(some, tmp_path / "out", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["out.rejected.jsonl"]
    assert len((tmp_path / "out.rejected.jsonl").read_text().splitlines()) == 3
    assert build(some, tmp_path / "out", seed=0, max_rejected=0.02) == {"templated/train": 197}


def test_a_shard_of_which_nothing_is_left_is_left_out(tmp_path):
    items = [-1, -2, 3, 4]
    some = [Part("templated", "train", items, Maker("x").make, "CC0-1.0")]
    build(some, tmp_path / "out", seed=0, records_per_shard=2, max_rejected=0.5)
    assert len(IndexedShards(tmp_path / "out/templated", "train")) == 2
    assert not (tmp_path / "out/templated/train/shard-000000.tar").exists()


def test_one_folder_is_built_by_one_build(tmp_path):
    def second(part, done):
        build(parts({"train": 4}), tmp_path / "out", seed=0)

    with pytest.raises(ValueError, match="out' is being built by another process; wait"):
        build(parts({"train": 4}), tmp_path / "out", seed=0, progress=second)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(ValueError, match="full' exists already; remove it or choose another folder"):
        build(parts({"train": 4}), tmp_path / "full", seed=0)


def test_a_reference_on_both_sides_is_refused_and_nothing_left(tmp_path):
    leaky = [Part("templated", split, range(3), Maker("same").make, "CC0-1.0") for split in ("train", "test")]
    with pytest.raises(ValueError, match="3 reference images are in both templated/train and templated/test: 'same0'"):
        build(leaky, tmp_path / "out", seed=0)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    write = building.Shard.add

    def full(shard, record, images):
        if shard.name == "shard-000001":
            raise OSError(28, "No space left on device")
        write(shard, record, images)

    monkeypatch.setattr(building.Shard, "add", full)
    with pytest.raises(ValueError, match="cannot write .*out': No space left on device; free space"):
        build(parts({"train": 8}), tmp_path / "out", seed=0, records_per_shard=4)
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / ".out.partial").rglob("*.report.json"))) == 1
    monkeypatch.undo()
    assert build(parts({"train": 8}), tmp_path / "out", seed=0, records_per_shard=4) == {"templated/train": 8}


def test_one_function_is_known_again_whatever_its_address():
    identity = building._identity
    assert identity(Maker("x").make) == identity(Maker("x").make) != identity(Maker("y").make)
    assert (
        identity(partial(parts, 1, parts)) == identity(partial(parts, 1, parts)) != identity(partial(parts, 1, build))
    )
    assert identity(partial(parts, 1)) == identity(partial(parts, 1)) != identity(partial(parts, 2))
