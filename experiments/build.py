"""`program=build`: a raw dataset, or the embedded one, as shards under `out/<source>/<split>`.

`source=NAME` is `conf/source/NAME.yaml`. To add a dataset is to add that file and the function that it names,
`parts(raw, seed, **options) -> list[Part]`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig

from experiments.console import part_progress

if TYPE_CHECKING:
    from datamodules.parts import Part

SYNTHETIC = "datamodules.sources.synthetic.build"
MAX_WORKERS = 8


def run(cfg: DictConfig) -> dict[str, float]:
    """Samples by source and split; all of `out` appears, or nothing.

    With `check=DIR`, a page on what is in a folder of shards; with `sheet=PHOTO`, a picture of all distortions.
    """
    if cfg.check is not None:
        return check(Path(cfg.check), cfg.out, num_workers(cfg.num_workers))
    if cfg.sheet is not None:
        return sheet(Path(cfg.sheet), cfg.out, cfg.seed)
    if cfg.source is None or cfg.out is None:
        raise ValueError("say what to build and where: source=NAME raw=DIR out=DIR")
    counts = _synthetic(cfg) if cfg.source._target_ == SYNTHETIC else _from_files(cfg)
    report(Path(cfg.out), counts)
    return {f"samples/{place}": float(count) for place, count in counts.items()}


def check(root: Path, out: str | None, workers: int) -> dict[str, float]:
    """Writes `check.html` into the folder, or to `out`. ValueError, after that, where something is wrong."""
    from rich.progress import Progress

    from datamodules.audit import audit
    from datamodules.audit_page import write_page

    if out and not Path(out).parent.is_dir():
        raise FileNotFoundError(f"folder '{Path(out).parent}' not found; make it, or choose another place (out)")
    with Progress() as bars:
        bar = bars.add_task(f"shards in {root}", total=None)
        found = audit(root, workers, lambda done, total: bars.update(bar, completed=done, total=total))
    place = Path(out) if out else root
    page = write_page(found, root, place / "check.html" if place.is_dir() else place)
    print(f"page {page}")
    if found.problems:
        raise ValueError(f"{len(found.problems)} problems in '{root}': {'; '.join(found.problems)}")
    return {f"samples/{place}": float(sum(counts.tasks.values())) for place, counts in found.counts.items()}


def sheet(photo: Path, out: str | None, seed: int) -> dict[str, float]:
    """Every function of every class at every severity, as a PNG."""
    import numpy as np

    from datamodules.distortions import FUNCTIONS, MIN_SIDE
    from datamodules.distortions.contact_sheet import write_contact_sheet
    from depictqa.image import load_image

    if not photo.is_file():
        raise FileNotFoundError(f"photo '{photo}' not found (sheet)")
    path = Path(out) if out else photo.with_name(f"{photo.stem}.distortions.png")
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise ValueError(f"'{path}' is no place for a PNG; give a name in an existing folder that ends in .png (out)")
    pixels = np.asarray(load_image(photo))
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise ValueError(
            f"photo '{photo}' has {pixels.shape[1]}x{pixels.shape[0]} px; give one of at least {MIN_SIDE} px a side"
        )
    write_contact_sheet(path, pixels, functions=list(FUNCTIONS), seed=seed)
    print(f"sheet {path}")
    return {}


def num_workers(asked: int | None = None) -> int:
    """Processes that make records: as many as asked for, else one for each core, up to 8."""
    if asked is not None and asked < 1:
        raise ValueError(f"num_workers is {asked}; give at least 1")
    return min(MAX_WORKERS, len(os.sched_getaffinity(0))) if asked is None else asked


def _synthetic(cfg: DictConfig) -> dict[str, int]:
    """Makes its images itself; `raw` holds photos of one's own."""
    from datamodules.parts import count_samples

    if cfg.baked or not cfg.compressed:
        raise ValueError("embedded images have their size and are small; leave out baked and compressed")
    options = {str(name): value for name, value in cfg.source.items() if name != "_target_"}
    workers = num_workers(cfg.num_workers)
    get_method(SYNTHETIC)(Path(cfg.out), photos=cfg.raw, seed=cfg.seed, num_workers=workers, **options)
    return count_samples(Path(cfg.out))


def _from_files(cfg: DictConfig) -> dict[str, int]:
    from datamodules.building import build, refuse_existing
    from datamodules.writers.pools import load_pools, make_with
    from depictqa.image import ImageGeometry

    if cfg.raw is None:
        raise ValueError("this source is made from files; give the folder or archive that holds them (raw=DIR)")
    refuse_existing(Path(cfg.out))  # before files are read for minutes
    parts = _parts(cfg.source, Path(cfg.raw), cfg.seed)
    if cfg.pools:
        added = load_pools(list(cfg.pools))
        parts = [replace(part, make=partial(make_with, added, part.make)) for part in parts]
    workers = num_workers(cfg.num_workers)
    bake = ImageGeometry(**cfg.model.image) if cfg.baked else None
    if bake is not None:
        print(f"images are scaled to {bake.limits} px (short side/long side at most), as model.image says")
    try:
        with part_progress(parts) as progress:
            return build(
                parts,
                Path(cfg.out),
                seed=cfg.seed,
                bake=bake,
                compressed=cfg.compressed,
                num_workers=workers,
                max_rejected=cfg.max_rejected,
                progress=progress,
            )
    except KeyboardInterrupt:
        print("finished shards are kept: the same command goes on with them", file=sys.stderr)
        raise


def _parts(source: DictConfig, raw: Path, seed: int) -> list[Part]:
    """What the source makes of `raw`, a folder or an archive. What was refused of an archive counts with the first
    part's records that cannot be made."""
    from datamodules.archives import unpack

    unpacked = unpack(raw, tell=print) if raw.is_file() else None
    refused = unpacked.refused if unpacked else []
    if refused:
        print(f"{len(refused)} members of '{raw}' are set apart, the first: {refused[0].name} {refused[0].reason}")
    try:
        parts = list(instantiate(source, raw=unpacked.folder if unpacked else raw, seed=seed))
    except InstantiationException as error:
        if isinstance(error.__cause__, TypeError):
            options = {str(name): value for name, value in source.items() if name != "_target_"}
            raise ValueError(f"an option of the source is of the wrong kind: {options} ({error.__cause__})") from error
        raise
    if parts:
        parts[0] = replace(parts[0], items=[*parts[0].items, *refused])
    return parts


def report(out: Path, counts: dict[str, int]) -> None:
    """The samples of each place as a table, and what was set apart."""
    from rich.console import Console
    from rich.table import Table

    from datamodules.building import REJECTED

    table = Table("source/split", "samples")
    for place, count in counts.items():
        table.add_row(place, f"{count:,}")
    Console().print(table)
    if (out / REJECTED).is_file():
        rejected = len((out / REJECTED).read_text(encoding="utf-8").splitlines())
        print(f"{rejected} records could not be made: {out / REJECTED}")
    print(f"shards in {out}")
