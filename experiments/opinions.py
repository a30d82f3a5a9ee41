"""`evaluation=votes`, `levels` and `bapps_jnd`: benchmarks that are made from raw datasets, without a build."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from depictqa.evaluation.all_pairs import AllPairs
from depictqa.evaluation.benchmark import Benchmark
from depictqa.evaluation.just_noticeable import JustNoticeable
from depictqa.evaluation.levels import Levels

if TYPE_CHECKING:
    from depictqa.evaluation.rated_images import RatedGroup

WITH_REFERENCES = ("kadid", "tid2013", "csiq", "live", "live_md", "mdid2013", "pipal")
PHOTOS = ("koniq", "spaq")
"""Datasets of scores; votes need the former."""


def votes(cfg: DictConfig) -> list[Benchmark]:
    """All pairs of each reference's images; the benchmark is `votes_<source>`."""
    module = _dataset(cfg, WITH_REFERENCES)
    if not module.PUBLISHED.references:
        raise ValueError(f"source={_name(module)} has no references that pairs could share; take evaluation=levels")
    dataset, groups = _groups(cfg, module)
    if not any(len(group.images) > 1 for group in groups):
        raise ValueError("votes need two images of a reference or more; raise evaluation.num_images")
    return [AllPairs(f"{cfg.evaluation.name}_{dataset}", groups, _references(cfg), cfg.evaluation.swap)]


def levels(cfg: DictConfig) -> list[Benchmark]:
    """Each image alone; the benchmark is `levels_<source>`."""
    dataset, groups = _groups(cfg, _dataset(cfg, (*WITH_REFERENCES, *PHOTOS)))
    return [Levels(f"{cfg.evaluation.name}_{dataset}", groups, _references(cfg))]


def just_noticeable(cfg: DictConfig) -> list[Benchmark]:
    """BAPPS' pairs that people may take for the same."""
    from datamodules.jnd_pairs import JndPairs, subset_of
    from datamodules.sources.bapps import read_jnd

    options = cfg.evaluation
    pairs = read_jnd(_raw(cfg), options.subsets)
    if options.limit is not None:
        pairs = [pair for subset in options.subsets for pair in _of(pairs, subset)[: options.limit]]
    return [JustNoticeable(options.name, JndPairs(pairs, options.side), subset_of)]


def _groups(cfg: DictConfig, module: ModuleType) -> tuple[str, list[RatedGroup]]:
    from datamodules.rated_groups import rated_groups

    options = cfg.evaluation
    raw = _raw(cfg)
    groups = rated_groups(
        raw,
        module.read(raw),
        module.PUBLISHED,
        cfg.seed,
        split=options.split,
        val=cfg.source.val,
        test=cfg.source.test,
        num_references=options.num_references,
        num_images=options.num_images,
        long_side=cfg.source.get("long_side"),
    )
    return _name(module), groups


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _dataset(cfg: DictConfig, choices: Sequence[str]) -> ModuleType:
    """The module of the source's function, which also reads people's scores."""
    known = f"source={', '.join(choices[:-1])} or {choices[-1]}"
    if cfg.source is None:
        raise ValueError(f"say whose scores: {known}")
    module = import_module(cfg.source._target_.rpartition(".")[0])
    if not hasattr(module, "PUBLISHED"):
        raise ValueError(f"{cfg.source._target_} has no scores of people; say {known}")
    return module


def _raw(cfg: DictConfig) -> Path:
    """A folder, or that of an archive, which is unpacked beside itself."""
    from datamodules.archives import unpack
    from datamodules.raw import need_folder

    if cfg.evaluation.raw is None:
        raise ValueError(f"evaluation={cfg.evaluation.name} is made from files; give their folder or archive (raw=DIR)")
    raw = Path(cfg.evaluation.raw)
    return unpack(raw, tell=print).folder if raw.is_file() else need_folder(raw, "the dataset's folder")


def _references(cfg: DictConfig) -> tuple[bool, ...]:
    asked = {True: cfg.evaluation.with_reference, False: cfg.evaluation.without_reference}
    if not any(asked.values()):
        raise ValueError("asked neither way; set evaluation.with_reference or evaluation.without_reference")
    return tuple(reference for reference, wanted in asked.items() if wanted)


def _of(pairs: list, subset: str) -> list:
    return [pair for pair in pairs if pair.subset == subset]
