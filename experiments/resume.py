"""Going on with a run: its own configuration, what was typed on top of it, and its log cut where it goes on."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

CHECKPOINT = "checkpoints/last.ckpt"


def resumed(cfg: DictConfig, folder: Path) -> DictConfig:
    """The configuration that the run in `folder` was started with, changed by the single keys of this command.

    Choices of groups (`experiment=`, `scale=`) are the run's own; those typed again are not looked at.
    Raises FileNotFoundError where `folder` has no configuration or no checkpoint.
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
        several = isinstance(value, list) and isinstance(OmegaConf.select(saved, key), DictConfig)  # baseline=[a,b]
        if key not in hydra.runtime.choices and not several:
            OmegaConf.update(saved, key, value, force_add=False)
    saved.resume = cfg.resume
    return saved


def rewind_log(folder: Path) -> None:
    """Drops the rows of metrics.csv from the checkpoint's step on; they are made again."""
    from depictqa.checkpoint import read_checkpoint
    from experiments.loggers import CsvLogger

    CsvLogger(folder / "metrics.csv").rewind(read_checkpoint(folder / CHECKPOINT)["global_step"])
