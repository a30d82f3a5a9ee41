"""What must be there before a run: the embedded data are built, anything else is looked for and named if missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.answerers import open_baselines
from experiments.build import num_workers
from experiments.checks import check_evaluation, check_training
from experiments.float8 import check as check_float8


def prepare(cfg: DictConfig) -> None:
    """Build the embedded data where `scale.synthetic` asks for them; then check that all files of the run are there.

    FileNotFoundError says all that is missing, and where each thing goes, in one message.
    """
    check_evaluation(cfg)
    check_training(cfg)
    check_float8(cfg)
    if cfg.scale.synthetic is not None:
        build_synthetic(Path(cfg.paths.data), OmegaConf.to_container(cfg.scale.synthetic, resolve=True))  # type: ignore[arg-type]
    missing = [*missing_weights(cfg), *missing_data(cfg), *missing_benchmark(cfg)]
    if missing:
        raise FileNotFoundError(f"scale={cfg.scale.name} needs what is not here: {'; '.join(missing)}")
    open_baselines(cfg)


def build_synthetic(out: Path, options: dict[str, Any]) -> None:
    """Shards and tokenizer of the embedded data in `out`; those that were made with the same `options` are kept."""
    from datamodules.sources import synthetic

    start = time.perf_counter()
    synthetic.build(out, num_workers=num_workers(), **options)
    if (seconds := time.perf_counter() - start) > 5:
        print(f"built the embedded data in {out} ({seconds:.0f} s)", flush=True)


def missing_weights(cfg: DictConfig) -> Iterator[str]:
    """Local files that the model names and that are not there. A hub id is no local file."""
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
        if path is not None and _is_local(path, cfg) and not Path(path).expanduser().exists():
            yield f"{what} at {path} ({key})"


def _is_local(path: str, cfg: DictConfig) -> bool:
    ours = (cfg.paths.weights, cfg.paths.data, "/", ".", "~")
    return path.startswith(ours) or path.endswith((".pt", ".bin", ".safetensors"))


def missing_data(cfg: DictConfig) -> Iterator[str]:
    """Sources of the run whose training shards are not there."""
    sources = cfg.data.sources if "sources" in cfg.data else {"": cfg.data}
    for name, source in sources.items():
        key = f"data.sources.{name}.root" if name else "data.root"
        if not (Path(source.root) / "train" / "manifest.json").is_file():
            build = f"run.py program=build source=NAME raw=DIR out={Path(source.root).parent}"
            yield f"shards at {source.root}/train ({key}; `{build}`)"


def missing_benchmark(cfg: DictConfig) -> Iterator[str]:
    """The benchmark's shards, where it has its own and they are not there."""
    root, split, name = cfg.evaluation.root, cfg.evaluation.split, cfg.evaluation.name
    if root is not None and not (benchmark_root(Path(root), split) / split / "manifest.json").is_file():
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
