"""Reading a split by its index: any sample at any time, without scanning the tars."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np

from datamodules.records import Record, RecordSample, from_json, to_sample
from datamodules.shards import FORMAT, MEMBER_NAMES, TAR_BLOCK, check_split
from depictqa.image import ImageGeometry
from depictqa.sample import Sample, Slot, Task, Truth, Turn


@dataclass(frozen=True)
class Entry:
    """What the index tells of a sample, nothing decoded. `slots` gives each image's (width, height)."""

    key: str
    task: Task
    slots: Mapping[Slot, tuple[int, int]]
    dialogue: tuple[Turn, ...]
    truth: Truth = field(default_factory=Truth)

    @property
    def full_reference(self) -> bool:
        return Slot.REFERENCE in self.slots


@dataclass
class _Shard:
    """The index of one tar, kept as its text: parsed a record at a time, and shared by forked workers."""

    tar: Path
    text: bytes
    starts: np.ndarray  # [records + 1] where each record's line starts in `text`
    baked: str | None  # limits of the geometry that scaled its images

    def line(self, record: int) -> bytes:
        return self.text[self.starts[record] : self.starts[record + 1]].rstrip(b",\n")


@dataclass(frozen=True)
class _Indexed:
    key: str
    places: Mapping[Slot, tuple[int, int, int, int]]  # offset and size in the tar, width and height
    samples: tuple[RecordSample, ...]


class IndexedShards(Sequence[Sample]):
    """All samples of `root/split`, in the order in which they were written. Plain and picklable.

    Tars that are missing, cut short or of another size than their index says are errors here, at once.
    `shard` opens one alone, by its place in the manifest.
    """

    def __init__(self, root: Path | str, split: str, source: str = "", shard: int | None = None) -> None:
        self.folder = Path(root) / check_split(split)
        self.manifest = read_manifest(self.folder)
        self.source = source or str(self.manifest["source"])
        self._shards: list[_Shard] = []
        counts: list[np.ndarray] = []
        chosen = self.manifest["shards"]
        for stated in chosen if shard is None else chosen[shard : shard + 1]:
            opened, samples = _open_shard(self.folder, stated)
            self._shards.append(opened)
            counts.append(samples)
        self._first_record = np.cumsum([0] + [len(samples) for samples in counts])
        self._first_sample = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *counts]))
        self._last: tuple[int, _Indexed] | None = None
        if len(self) == 0:
            raise ValueError(f"'{self.folder}' holds no samples; build it again")

    def __len__(self) -> int:
        return int(self._first_sample[-1])

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """ValueError naming shard and key where the tar or an image in it is damaged."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        shard, record, sample = self._locate(index)
        found = self._record(shard, record)
        chosen = found.samples[sample]
        images = {slot: self._read(shard, found, slot) for slot in chosen.slots}
        try:
            return to_sample(Record(found.key, images, found.samples), sample, self.source)
        except ValueError as error:
            raise ValueError(f"{self._shards[shard].tar}: {error}") from error

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def check_geometry(self, geometry: ImageGeometry) -> None:
        """ValueError where images were scaled when they were stored, and not as this geometry scales them."""
        for shard in self._shards:
            geometry.check_scaled(shard.baked, f"images of '{self.folder}' are")

    def entry(self, index: int) -> Entry:
        shard, record, sample = self._locate(index)
        return self._entry(self._record(shard, record), sample)

    def entries(self) -> Iterator[Entry]:
        """Every entry in order, without its truth: faster than one by one."""
        for shard in range(len(self._shards)):
            for record in range(int(self._first_record[shard + 1] - self._first_record[shard])):
                found = self._parse(shard, record, truths=False)
                yield from (self._entry(found, sample) for sample in range(len(found.samples)))

    def _entry(self, found: _Indexed, sample: int) -> Entry:
        chosen = found.samples[sample]
        sizes = {slot: found.places[slot][2:] for slot in chosen.slots}
        return Entry(f"{self.source}/{found.key}/{sample}", chosen.task, sizes, chosen.dialogue, chosen.truth)

    def _locate(self, index: int) -> tuple[int, int, int]:
        """Sample number -> shard, record in the shard, sample in the record."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        record = int(np.searchsorted(self._first_sample, index, side="right")) - 1
        shard = int(np.searchsorted(self._first_record, record, side="right")) - 1
        return shard, record - int(self._first_record[shard]), index - int(self._first_sample[record])

    def _record(self, shard: int, record: int) -> _Indexed:
        """Neighbouring samples share a record: the last one is kept."""
        number = int(self._first_record[shard]) + record
        if self._last is None or self._last[0] != number:
            self._last = (number, self._parse(shard, record))
        return self._last[1]

    def _parse(self, shard: int, record: int, truths: bool = True) -> _Indexed:
        where = f"{self._shards[shard].tar} record {record}"
        return _parse(self._shards[shard].line(record), where, truths)

    def _read(self, shard: int, record: _Indexed, slot: Slot) -> bytes:
        """An image's bytes, after checking that the tar holds that very member there."""
        offset, size = record.places[slot][:2]
        tar, name = self._shards[shard].tar, f"{record.key}.{MEMBER_NAMES[slot]}"
        try:
            with open(tar, "rb", buffering=0) as file:
                block = os.pread(file.fileno(), TAR_BLOCK + size, offset - TAR_BLOCK)
        except FileNotFoundError as error:
            raise _damaged(tar, "is gone") from error
        if len(block) != TAR_BLOCK + size:
            raise _damaged(tar, f"is cut short at '{name}'")
        if block[:100].rstrip(b"\0") != name.encode():
            raise _damaged(tar, f"has no '{name}' where its index says")
        return block[TAR_BLOCK:]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a split's folder. FileNotFoundError where it was never finished."""
    path = folder / "manifest.json"
    if not path.exists():
        raise FileNotFoundError(
            f"'{folder}' has no manifest.json; build it with program=build out={folder.parent.parent}"
        )
    try:
        manifest = json.loads(path.read_bytes())
        known = manifest["format"] == FORMAT and isinstance(manifest["shards"], list)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is not a manifest: {error}; build the split again") from error
    if not known:
        raise ValueError(f"'{path}' has format {manifest['format']}, this code reads {FORMAT}; build the split again")
    return manifest


def _open_shard(folder: Path, stated: Mapping[str, Any]) -> tuple[_Shard, np.ndarray]:
    """The shard and its number of samples of each record, checked against the tar's size and the manifest."""
    tar, index = folder / f"{stated['name']}.tar", folder / f"{stated['name']}.index.json"
    for path in (tar, index):
        if not path.exists():
            raise FileNotFoundError(f"'{path}' is missing though the manifest names it; build the split again")
    text = index.read_bytes()
    try:
        first_line = text.index(b"\n") + 1
        header = json.loads(text[:first_line] + b"]}")
        counts = np.asarray(header["counts"], dtype=np.int64)
        size = int(header["bytes"])
        baked = None if header["baked"] is None else f"{header['baked'][0]}/{header['baked'][1]}"
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{index}' is not an index: {error}; build the split again") from error
    starts = first_line + np.concatenate([[0], np.flatnonzero(np.frombuffer(text[first_line:], np.uint8) == 10) + 1])
    if len(counts) != stated["records"] or len(starts) < len(counts) + 1 or text[-4:] != b"\n]}\n":
        raise _damaged(index, "does not hold the records that the manifest counts")
    if tar.stat().st_size != size or size != stated["bytes"]:
        raise _damaged(tar, f"has {tar.stat().st_size} bytes, its index says {size}")
    return _Shard(tar, text, starts[: len(counts) + 1], baked), counts


def _parse(line: bytes, where: str, truths: bool) -> _Indexed:
    try:
        value = json.loads(line)
        key, places = value.pop("key"), value.pop("images")
        images = {Slot(slot): (int(o), int(n), int(w), int(h)) for slot, (o, n, w, h) in places.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: damaged ({type(error).__name__}: {error}); build the split again") from error
    samples = from_json(value, f"{where} '{key}'", truths)
    for number, sample in enumerate(samples):
        if not set(sample.slots) <= images.keys():
            raise ValueError(f"{where} '{key}' samples[{number}]: a slot has no image; build the split again")
    return _Indexed(key, images, samples)


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(f"'{path}' {how}; copy or build the split again")
