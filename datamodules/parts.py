"""What a source gives to be built, and building it: all splits written, checked for leaks, put in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.indexed import read_manifest
from datamodules.records import Record
from datamodules.shards import SPLITS, ShardWriter
from depictqa.image import ImageGeometry


@dataclass(frozen=True)
class Part:
    """One split of one training source. `records` yields where a record comes from, for errors, and it."""

    source: str
    split: str
    num_records: int
    records: Iterable[tuple[str, Record]]


Progress = Callable[[Part], Iterator[tuple[str, Record]]]


def write_parts(
    parts: Iterable[Part],
    out: Path,
    *,
    licence: str,
    seed: int,
    records_per_shard: int = 1000,
    bake: ImageGeometry | None = None,
    progress: Progress | None = None,
) -> None:
    """`out/<source>/<split>` for each part. `progress` wraps a part's records."""
    for part in parts:
        options = {"licence": licence, "seed": seed, "records_per_shard": records_per_shard, "bake": bake}
        with ShardWriter(out / part.source, part.split, source=part.source, **options) as writer:  # type: ignore[arg-type]
            for origin, record in part.records if progress is None else progress(part):
                try:
                    writer.write(record)
                except ValueError as error:
                    raise ValueError(f"{origin}: {error}") from error


def build_whole(out: Path, write: Callable[[Path], None]) -> dict[str, int]:
    """Lets `write` fill a folder beside `out`, refuses leaks, renames it to `out`; -> samples by place.

    `out` must not exist or be empty. On any error nothing is left of it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"'{out}' exists already; remove it or choose another folder (out)")
    beside = out.with_name(f".{out.name}.partial-{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        try:
            beside.mkdir(parents=True)
            write(beside)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and error.errno is None:
                raise  # ours: it names a source's file
            raise ValueError(f"cannot write '{out}': {error.strerror or error}; free space there") from error
        counts = count_samples(beside)
        refuse_overlap(beside)
        os.replace(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return counts


def count_samples(root: Path) -> dict[str, int]:
    """`source/split` -> samples, by the manifests under `root`."""
    counts = {}
    for split in SPLITS:
        for path in sorted(root.glob(f"*/{split}/manifest.json")):
            counts[f"{path.parent.parent.name}/{split}"] = int(read_manifest(path.parent)["samples"])
    return counts


def refuse_overlap(root: Path) -> None:
    """ValueError where a reference of any source's training split is in any source's val or test split too.

    References are compared by what the source says they are and by their pixels.
    """
    references: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for split in SPLITS:
        for path in sorted(root.glob(f"*/{split}/manifest.json")):
            for reference in read_manifest(path.parent)["references"]:
                references[split].setdefault(reference, path.parent.parent.name)
    for held_out in ("test", "val"):
        shared = sorted(references["train"].keys() & references[held_out].keys())
        if shared:
            sources = f"{references['train'][shared[0]]}/train and {references[held_out][shared[0]]}/{held_out}"
            named = ", ".join(f"'{name}'" for name in shared[:5]) + (", ..." if len(shared) > 5 else "")
            raise ValueError(
                f"{len(shared)} reference images are in both {sources}: {named}; "
                f"take them out of one, or what is measured there was trained on"
            )
