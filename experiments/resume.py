"""Going on with a run: its own configuration, what was typed on top of it, and its log cut where it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

CHECKPOINT = "checkpoints/last.ckpt"
FIXED = ("data", "model", "scale", "seed", "photos", "trainer.max_epochs")


def resumed(cfg: DictConfig, folder: Path) -> DictConfig:
    """The configuration that the run in `folder` was started with, changed by the single keys of this command.

    The run's data, model and scale are its own, and so are its seed and photos, from which others were derived.
    ValueError where they are typed again and differ; FileNotFoundError where `folder` has no configuration or no
    checkpoint.
    """
    for name in ("config.yaml", CHECKPOINT):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"cannot resume {folder}: it has no {name}; give the folder of a run that was cut short"
            )
    saved = OmegaConf.load(folder / "config.yaml")
    assert isinstance(saved, DictConfig)
    hydra = HydraConfig.get()
    for override in OverridesParser.create().parse_overrides(list(hydra.overrides.task)):
        key, value = override.key_or_group, override.value()
        if key in FIXED and not _same(OmegaConf.select(cfg, key), OmegaConf.select(saved, key)):
            raise ValueError(f"the run in {folder} has another {key}; leave {key}= out, or start a new run with it")
        several = isinstance(value, list) and isinstance(OmegaConf.select(saved, key), DictConfig)  # baseline=[a,b]
        if key not in hydra.runtime.choices and not several:
            OmegaConf.update(saved, key, value, force_add=False)
    saved.resume = cfg.resume
    return saved


def _same(typed: Any, own: Any) -> bool:
    def plain(value: Any) -> Any:
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    return plain(typed) == plain(own)


def rewind_log(folder: Path) -> None:
    """Drops the rows of metrics.csv from the checkpoint's step on; they are made again."""
    from depictqa.checkpoint import read_checkpoint
    from experiments.loggers import CsvLogger

    CsvLogger(folder / "metrics.csv").rewind(read_checkpoint(folder / CHECKPOINT)["global_step"])
