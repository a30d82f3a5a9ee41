"""What must be there before a run: the embedded data are built, anything else is looked for and named if missing."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from depictqa.models.config import check_choice
from experiments.answerers import open_baselines
from experiments.build import num_workers
from experiments.checks import check_evaluation, check_training
from experiments.float8 import check as check_float8
from experiments.ranks import is_further_process, num_to_start

TELL_AFTER = 2.0
"""Seconds of building the embedded data, after which it is told of."""


def prepare(cfg: DictConfig) -> int:
    """Check that all options can be and all files of the run are there; then build the embedded data where
    `scale.synthetic` asks for them. Returns how many processes there are to start.

    FileNotFoundError says all that is missing, and where each thing goes, in one message.
    """
    check_evaluation(cfg)
    check_training(cfg)
    check_float8(cfg)
    check_monitor(cfg)
    num_ranks = num_to_start(cfg.trainer)
    coming = embedded(cfg)
    splits = ("train", "val", *(() if has_own_data(cfg) else (cfg.evaluation.split,)))
    missing = [*missing_weights(cfg, coming), *missing_data(cfg, coming, splits), *missing_benchmark(cfg, coming)]
    if missing:
        raise FileNotFoundError(f"the run needs what is not here: {'; '.join(missing)}")
    if has_own_data(cfg) and not is_further_process():
        get_method(cfg.evaluation.benchmarks)(cfg)  # names what is wrong with its files
    open_baselines(cfg)
    if cfg.scale.synthetic is not None:
        build_synthetic(Path(cfg.paths.data), OmegaConf.to_container(cfg.scale.synthetic, resolve=True))  # type: ignore[arg-type]
    return num_ranks


def embedded(cfg: DictConfig) -> set[Path]:
    """The folders that are built where they are not there."""
    from datamodules.sources.synthetic import SOURCES, TOKENIZER

    return set() if cfg.scale.synthetic is None else {Path(cfg.paths.data) / name for name in (*SOURCES, TOKENIZER)}


def build_synthetic(out: Path, options: dict[str, Any]) -> None:
    """Shards and tokenizer of the embedded data in `out`; those that were made with the same `options` are kept."""
    from datamodules.sources import synthetic

    tell = threading.Timer(TELL_AFTER, print, (f"building the embedded data in {out} ...",), {"flush": True})
    start = time.perf_counter()
    tell.start()
    try:
        synthetic.build(out, num_workers=num_workers(), **options)
    except OSError as error:
        if error.filename is None or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"the embedded data cannot be put into '{out}' ({str(error.strerror).lower()}: '{error.filename}'); choose "
            "another place (paths.data)"
        ) from error
    finally:
        tell.cancel()
    if (seconds := time.perf_counter() - start) > 5:
        print(f"built the embedded data in {out} ({seconds:.0f} s)", flush=True)


def check_monitor(cfg: DictConfig) -> None:
    """ValueError where early stopping would look for a figure that no validation has."""
    feed = getattr(open_data(cfg, None), "feed", None)
    monitor = cfg.trainer.early_stopping.monitor
    if feed is not None:
        known = ("val/loss", *(f"val/{source.name}/loss" for source in feed.sources))
        check_choice(monitor, known, "trainer.early_stopping.monitor")


def missing_weights(cfg: DictConfig, coming: Collection[Path] = ()) -> Iterator[str]:
    """Local files that the model names and that are neither there nor `coming`. A hub id is no local file."""
    language = cfg.model.language
    wanted = {
        "CLIP weights (OpenAI's ViT-L-14.pt, or others by model.vision)": (
            "model.vision.weights",
            cfg.model.vision.weights,
        ),
        "a language model's folder (Vicuna-7B-v1.5, or another)": ("model.language.path", language.path),
        "a tokenizer's folder": ("model.language.tokenizer", language.tokenizer),
    }
    for what, (key, path) in wanted.items():
        if path is None or Path(path) in coming or not _is_local(path, cfg):
            continue
        if not Path(path).expanduser().exists():
            yield f"{what} at {path} ({key})"


def _is_local(path: str, cfg: DictConfig) -> bool:
    ours = (cfg.paths.weights, cfg.paths.data, "/", ".", "~")
    return path.startswith(ours) or path.endswith((".pt", ".bin", ".safetensors"))


def missing_data(cfg: DictConfig, coming: Collection[Path] = (), splits: Sequence[str] = ("train",)) -> Iterator[str]:
    """Sources of the run whose shards of `splits` are neither there nor `coming`."""
    sources = cfg.data.sources if "sources" in cfg.data else {"": cfg.data}
    for name, source in sources.items():
        key = f"data.sources.{name}.root" if name else "data.root"
        root = Path(source.root)
        lacking = [split for split in dict.fromkeys(splits) if not (root / split / "manifest.json").is_file()]
        if root not in coming and lacking:
            yield f"shards at {root} of {', '.join(lacking)} ({key}; {_from_a_build(root)})"


def _from_a_build(root: Path) -> str:
    """How the folder of a source comes to be."""
    from datamodules.sources.synthetic import SOURCES

    build = "run.py program=build source=NAME raw=DIR out="
    if root.name in SOURCES:
        return f"`{build}{root.parent}`"
    return f"give one that holds them, such as OUT/templated of `{build}OUT`"


def missing_benchmark(cfg: DictConfig, coming: Collection[Path] = ()) -> Iterator[str]:
    """The benchmark's shards, where it has its own and they are neither there nor `coming`."""
    root, split, name = cfg.evaluation.root, cfg.evaluation.split, cfg.evaluation.name
    if root is None or Path(root) in coming:
        return
    if not (benchmark_root(Path(root), split) / split / "manifest.json").is_file():
        build = f"run.py program=build source={name} raw=DIR out={root}"
        yield f"evaluation={name} has no shards at {Path(root) / split} (evaluation.root; `{build}`)"


def has_own_data(cfg: DictConfig) -> bool:
    """Whether the benchmark is of shards or a raw dataset of its own, and not of the run's data."""
    return cfg.evaluation.root is not None or "raw" in cfg.evaluation


def benchmark_root(root: Path, split: str) -> Path:
    """`root`, or the folder in it where a build puts brief comparisons."""
    inner = root / "templated"
    return inner if not (root / split).is_dir() and (inner / split).is_dir() else root


def open_data(cfg: DictConfig, encoder: Any) -> Any:
    """The configured data module. (`instantiate(cfg.data, encoder=...)` would turn the encoder, a dataclass, into a
    configuration of its own.)"""
    return instantiate(cfg.data, _partial_=True, _convert_="all")(encoder=encoder)
