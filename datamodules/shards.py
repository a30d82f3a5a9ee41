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
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from PIL import Image

from datamodules.records import Record, check_record, to_json
from depictqa.image import ImageGeometry, decode_image, load_image
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
    """Context manager that writes one split. Leaving it by an exception leaves nothing behind.

    `bake` stores images at the size to which that geometry scales them anyway (recorded in the index);
    without it they are stored as they are. PNG always.
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
    ) -> None:
        self.root, self.split = Path(root), check_split(split)
        if records_per_shard < 1:
            raise ValueError(f"records_per_shard is {records_per_shard}; give at least 1")
        self.source, self.licence, self.seed = source, licence, seed
        self.records_per_shard, self.bake = records_per_shard, bake
        self.final = self.root / split
        self.partial = self.root / f".{split}.partial-{os.getpid()}"
        self._shard: _Shard | None = None
        self._shards: list[dict[str, Any]] = []
        self._keys: set[str] = set()
        self._references: set[str] = set()
        self._tasks: Counter[str] = Counter()

    def __enter__(self) -> ShardWriter:
        if self.final.exists():
            raise ValueError(f"'{self.final}' exists already; remove it or choose another folder")
        try:
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
        except OSError as error:
            raise _cannot_write(self.partial, error) from error
        return self

    def write(self, record: Record) -> None:
        """Append a record. ValueError where its key, slots or images are not fit for a shard."""
        where = f"{self.source} {self.split}"
        check_record(record, where)
        if record.key in self._keys:
            raise ValueError(f"{where} '{record.key}': key written twice; give every record its own")
        images = {slot: self._png(image, f"{where} '{record.key}' {slot}") for slot, image in record.images.items()}
        try:
            if self._shard is None:
                self._shard = _Shard(self.partial, len(self._shards), self.bake)
            self._shard.add(record, images)
            if len(self._shard.lines) == self.records_per_shard:
                self._close_shard()
        except OSError as error:
            raise _cannot_write(self.final, error) from error
        self._keys.add(record.key)
        self._tasks.update(str(sample.task) for sample in record.samples)
        self._references.update(_reference_ids(record, images))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise _cannot_write(self.final, failure) from failure
        finally:
            if self._shard is not None:
                self._shard.abandon()
            shutil.rmtree(self.partial, ignore_errors=True)

    def _finish(self) -> None:
        if self._shard is not None:
            self._close_shard()
        if not self._shards:
            raise ValueError(f"{self.source} {self.split} got no records; check the source's folder and split")
        manifest = {
            "format": FORMAT,
            "source": self.source,
            "split": self.split,
            "licence": self.licence,
            "seed": self.seed,
            "code_version": importlib.metadata.version("depictqa"),
            "records": len(self._keys),
            "samples": sum(self._tasks.values()),
            "tasks": dict(sorted(self._tasks.items())),
            "shards": self._shards,
            "references": sorted(self._references),
        }
        with open(self.partial / "manifest.json", "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1, ensure_ascii=False)
            _flush(file)
        try:
            os.replace(self.partial, self.final)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise ValueError(f"'{self.final}' appeared meanwhile; another build wrote it") from error
            raise

    def _close_shard(self) -> None:
        assert self._shard is not None
        self._shards.append(self._shard.close())
        self._shard = None

    def _png(self, image: Image.Image | bytes, name: str) -> tuple[bytes, tuple[int, int]]:
        """The image as the bytes of a PNG, and its (width, height). A plain RGB PNG is kept byte for byte."""
        opened = decode_image(image, name) if isinstance(image, bytes) else load_image(image)
        size = opened.size if self.bake is None else self.bake.resized(opened.size)
        if isinstance(image, bytes) and size == opened.size and _is_plain_png(image):
            return image, size
        if size != opened.size:
            opened = opened.resize(size, Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        opened.save(buffer, "PNG", compress_level=4)
        return buffer.getvalue(), size


class _Shard:
    """One tar and its index while they are written."""

    def __init__(self, folder: Path, number: int, bake: ImageGeometry | None) -> None:
        self.name = f"shard-{number:06d}"
        self.folder, self.bake = folder, bake
        self.file = _Hashed(open(folder / f"{self.name}.tar", "wb"))
        self.tar = tarfile.open(fileobj=self.file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]
        self.lines: list[str] = []
        self.counts: list[int] = []

    def add(self, record: Record, images: dict[Slot, tuple[bytes, tuple[int, int]]]) -> None:
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

    def close(self) -> dict[str, Any]:
        """Finish both files; -> this shard's line of the manifest."""
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
        return {
            "name": self.name,
            "records": len(self.lines),
            "samples": sum(self.counts),
            "bytes": self.file.written,
            "sha256": self.file.hash.hexdigest(),
        }

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


def _cannot_write(path: Path, error: OSError) -> ValueError:
    return ValueError(f"cannot write '{path}': {error.strerror or error}; free space or choose another folder")


def _is_plain_png(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return (
            image.format == "PNG" and image.mode == "RGB" and not image.getexif() and "transparency" not in image.info
        )


def _reference_ids(record: Record, images: dict[Slot, tuple[bytes, tuple[int, int]]]) -> set[str]:
    """The stated origin, and the reference image's content, which finds one image under two names."""
    ids = {record.reference} if record.reference else set()
    if Slot.REFERENCE in images:
        with Image.open(io.BytesIO(images[Slot.REFERENCE][0])) as image:
            ids.add(f"{image.width}x{image.height}:{hashlib.sha256(image.tobytes()).hexdigest()[:32]}")
    return ids
