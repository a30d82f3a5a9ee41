"""Writing a split of a source: WebDataset tars, an index beside each, one manifest. `indexed.py` reads them.

    <root>/<split>/shard-000000.tar          KEY.a.png KEY.b.png KEY.json KEY.ref.png KEY2.a.png ...
                   shard-000000.index.json   where each image lies and how large it is, and the samples' text
                   manifest.json             counts, hashes, source, licence, seed, code version, references

A split is written in a hidden folder beside its place and renamed as a whole, so under `<split>` there is all
of it or nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from PIL import Image

from datamodules import png
from datamodules.records import Record, check_record, to_json
from depictqa.image import ImageGeometry
from depictqa.sample import Slot

FORMAT = 1
SPLITS = ("train", "val", "test")
TAR_BLOCK = 512  # bytes; a member's data follow its one header block
MEMBER_NAMES = {Slot.REFERENCE: "ref.png", Slot.A: "a.png", Slot.B: "b.png"}


def check_split(split: str) -> str:
    if split not in SPLITS:
        raise ValueError(f"split '{split}' unknown; choose {', '.join(SPLITS)}")
    return split


class ShardWriter:
    """Context manager that writes one split, record by record. Leaving it by an exception leaves nothing behind.

    `bake` stores images at the size to which that geometry scales them anyway (recorded in the index and in the
    images); without it they are stored as they are. PNG always; those that are not `compressed` are read several times
    as fast and take more room. `building.build` writes many shards at once.
    """

    def __init__(
        self,
        root: Path | str,
        split: str,
        *,
        source: str,
        licence: str,
        seed: int,
        records_per_shard: int = 1000,
        bake: ImageGeometry | None = None,
        compressed: bool = True,
    ) -> None:
        self.root, self.split = Path(root), check_split(split)
        if records_per_shard < 1:
            raise ValueError(f"records_per_shard is {records_per_shard}; give at least 1")
        self.source, self.licence, self.seed = source, licence, seed
        self.records_per_shard, self.bake, self.compressed = records_per_shard, bake, compressed
        self.final = self.root / split
        self.partial = self.root / f".{split}.partial-{os.getpid()}"
        self._shard: Shard | None = None
        self._written: list[Written] = []
        self._keys: set[str] = set()

    def __enter__(self) -> ShardWriter:
        if self.final.exists():
            raise ValueError(f"'{self.final}' exists already; remove it or choose another folder")
        try:
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
        except OSError as error:
            raise cannot_write(self.partial, error) from error
        return self

    def write(self, record: Record) -> None:
        """Append a record. ValueError where its key, slots or images are not fit for a shard."""
        where = f"{self.source} {self.split}"
        images = encode_images(record, self.bake, self.compressed, where)
        if record.key in self._keys:
            raise ValueError(f"{where} '{record.key}': key written twice; give every record its own")
        try:
            if self._shard is None:
                self._shard = Shard(self.partial, len(self._written), self.bake)
            self._shard.add(record, images)
            if len(self._shard.lines) == self.records_per_shard:
                self._close_shard()
        except OSError as error:
            raise cannot_write(self.final, error) from error
        self._keys.add(record.key)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise cannot_write(self.final, failure) from failure
        finally:
            if self._shard is not None:
                self._shard.abandon()
            shutil.rmtree(self.partial, ignore_errors=True)

    def _finish(self) -> None:
        if self._shard is not None:
            self._close_shard()
        where = {"source": self.source, "split": self.split, "licence": self.licence, "seed": self.seed}
        write_manifest(self.partial, self._written, where)
        try:
            os.replace(self.partial, self.final)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise ValueError(f"'{self.final}' appeared meanwhile; another build wrote it") from error
            raise

    def _close_shard(self) -> None:
        assert self._shard is not None
        self._written.append(self._shard.close())
        self._shard = None


@dataclass(frozen=True)
class Written:
    """A finished shard: its line of the manifest, and what the manifest sums up over shards."""

    line: dict[str, Any]
    keys: list[str]
    tasks: dict[str, int]
    references: list[str]


def write_manifest(folder: Path, shards: Sequence[Written], where: Mapping[str, Any]) -> None:
    """`folder/manifest.json` of finished shards. `where` is source, split, licence and seed.

    ValueError where nothing was written, or two records have one key.
    """
    name = f"{where['source']} {where['split']}"
    keys = Counter(key for shard in shards for key in shard.keys)
    if not keys:
        raise ValueError(f"{name} got no records; check the source's folder and split")
    key, times = keys.most_common(1)[0]
    if times > 1:
        raise ValueError(f"{name} '{key}': key written twice; give every record its own")
    tasks: Counter[str] = Counter()
    for shard in shards:
        tasks.update(shard.tasks)
    manifest = {
        "format": FORMAT,
        **where,
        "code_version": importlib.metadata.version("depictqa"),
        "records": len(keys),
        "samples": sum(tasks.values()),
        "tasks": dict(sorted(tasks.items())),
        "shards": [shard.line for shard in shards if shard.keys],
        "references": sorted({reference for shard in shards for reference in shard.references}),
    }
    with open(folder / "manifest.json", "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1, ensure_ascii=False)
        _flush(file)


def encode_images(record: Record, bake: ImageGeometry | None, compressed: bool, where: str) -> dict[Slot, png.Encoded]:
    """Each slot's PNG. ValueError, beginning with `where`, for a record that is not fit for a shard."""
    check_record(record, where)
    return {
        slot: png.encode(image, bake, compressed, f"{where} '{record.key}' {slot}")
        for slot, image in record.images.items()
    }


class Shard:
    """One tar and its index while they are written."""

    def __init__(self, folder: Path, number: int, bake: ImageGeometry | None) -> None:
        self.name = f"shard-{number:06d}"
        self.folder, self.bake = folder, bake
        self.file = _Hashed(open(folder / f"{self.name}.tar", "wb"))
        self.tar = tarfile.open(fileobj=self.file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]
        self.lines: list[str] = []
        self.counts: list[int] = []
        self.keys: list[str] = []
        self.tasks: Counter[str] = Counter()
        self.references: set[str] = set()

    def add(self, record: Record, images: Mapping[Slot, png.Encoded]) -> None:
        text = to_json(record.samples)
        members = {MEMBER_NAMES[slot]: data for slot, (data, _) in images.items()}
        members["json"] = json.dumps(text, ensure_ascii=False).encode()
        offsets = {}
        for name in sorted(members):
            info = tarfile.TarInfo(f"{record.key}.{name}")
            info.size = len(members[name])
            offsets[name] = self.tar.offset + TAR_BLOCK
            self.tar.addfile(info, io.BytesIO(members[name]))
        places = {str(slot): [offsets[MEMBER_NAMES[slot]], len(data), *size] for slot, (data, size) in images.items()}
        self.lines.append(json.dumps({"key": record.key, "images": places, **text}, ensure_ascii=False))
        self.counts.append(len(record.samples))
        self.keys.append(record.key)
        self.tasks.update(str(sample.task) for sample in record.samples)
        self.references.update(_reference_ids(record, images))

    def close(self) -> Written:
        """Finish both files."""
        self.tar.close()
        _flush(self.file.file)
        self.file.file.close()
        header = {
            "format": FORMAT,
            "tar": f"{self.name}.tar",
            "bytes": self.file.written,
            "baked": None if self.bake is None else [self.bake.short_side, self.bake.long_side],
            "counts": self.counts,
        }
        with open(self.folder / f"{self.name}.index.json", "w", encoding="utf-8") as file:
            # JSON as a whole, and one record a line: a reader finds record n without parsing the others.
            file.write(json.dumps(header)[:-1] + ', "records": [\n' + ",\n".join(self.lines) + "\n]}\n")
            _flush(file)
        line = {
            "name": self.name,
            "records": len(self.lines),
            "samples": sum(self.counts),
            "bytes": self.file.written,
            "sha256": self.file.hash.hexdigest(),
        }
        return Written(line, self.keys, dict(self.tasks), sorted(self.references))

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
            self.file.file.close()


class _Hashed:
    """A file for tarfile to write to that hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.hash, self.written = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.file.write(data)
        self.hash.update(data)
        self.written += len(data)
        return len(data)

    def tell(self) -> int:
        return self.written


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def cannot_write(path: Path, error: OSError) -> ValueError:
    return ValueError(f"cannot write '{path}': {error.strerror or error}; free space or choose another folder")


def _reference_ids(record: Record, images: Mapping[Slot, png.Encoded]) -> set[str]:
    """The stated origin, and the reference image's content, which finds one image under two names."""
    ids = {record.reference} if record.reference else set()
    if Slot.REFERENCE in images:
        with Image.open(io.BytesIO(images[Slot.REFERENCE][0])) as image:
            ids.add(f"{image.width}x{image.height}:{hashlib.sha256(image.tobytes()).hexdigest()[:32]}")
    return ids
