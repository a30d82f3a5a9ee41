"""`program=build`: a raw dataset, or the embedded one, as shards under `out/<source>/<split>`.

`source=NAME` is the module `datamodules.sources.NAME`: to add a dataset is to add that file, with
`parts(raw, seed, held_out) -> list[Part]` and `LICENCE`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

if TYPE_CHECKING:
    from datamodules.parts import Part
    from datamodules.records import Record


def run(cfg: DictConfig) -> dict[str, float]:
    """Samples by source and split; all of `out` appears, or nothing."""
    if cfg.source is None or cfg.out is None:
        raise ValueError("say what to build and where: source=NAME raw=DIR out=DIR")
    counts = build(cfg.source, Path(cfg.out), None if cfg.raw is None else Path(cfg.raw), cfg.seed, cfg.held_out)
    report(Path(cfg.out), counts)
    return {f"samples/{place}": float(count) for place, count in counts.items()}


def build(source: str, out: Path, raw: Path | None, seed: int, held_out: float = 0.01) -> dict[str, int]:
    """The shards of a source in `out`; -> samples by place. ValueError where train and test overlap."""
    from datamodules.parts import build_whole, count_samples, refuse_overlap, write_parts

    module = source_module(source)
    if source == "synthetic":  # makes its images, whole or not at all, itself; `raw` holds photos of one's own
        module.build(out, photos=raw, seed=seed)
        refuse_overlap(out)
        return count_samples(out)
    if raw is None:
        raise ValueError(f"source '{source}' is made from files; give the folder that holds them (raw=DIR)")
    parts = module.parts(raw, seed, held_out)
    return build_whole(
        out, lambda folder: write_parts(parts, folder, licence=module.LICENCE, seed=seed, progress=progress)
    )


def source_module(name: str) -> Any:
    """`datamodules.sources.NAME`. ValueError listing the sources that there are."""
    import datamodules.sources

    names = sorted(module.name for module in pkgutil.iter_modules(datamodules.sources.__path__))
    if name in names and (module := _buildable(name)) is not None:
        return module
    choices = ", ".join(other for other in names if _buildable(other) is not None)
    raise ValueError(f"source '{name}' unknown; choose {choices} (source)")


def _buildable(name: str) -> Any:
    """The module, or None where it is a part of another source."""
    module = importlib.import_module(f"datamodules.sources.{name}")
    return module if name == "synthetic" or hasattr(module, "parts") else None


def progress(part: Part) -> Iterator[tuple[str, Record]]:
    """A part's records, with a bar on the console."""
    from rich.progress import track

    yield from track(part.records, description=f"{part.source}/{part.split}", total=part.num_records)


def report(out: Path, counts: dict[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("shards", "samples", title=f"built in {out}")
    for place, count in counts.items():
        table.add_row(str(out / place), f"{count:,}")
    Console().print(table)
