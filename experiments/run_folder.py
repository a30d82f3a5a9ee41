"""A run's own folder, which goes again where the run ends before it has begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.utils import get_method
from omegaconf import DictConfig

from experiments.checks import check_groups
from experiments.console import one_line_errors
from experiments.ranks import is_further_process

CONFIG = "config.yaml"

_made: list[Path] = []
"""The run's folder and those around it that Hydra makes for this run, the innermost first."""


class NewFolder(Callback):
    """Notes, before Hydra makes it, which part of the way to the run's folder is new."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.run.dir).absolute()
        _made[:] = [path for path in (folder, *folder.parents) if not path.exists()]


def run_program(cfg: DictConfig) -> None:
    """The one that `cfg` names."""
    with one_line_errors(), none_without_a_run():
        check_groups(HydraConfig.get().overrides.task)
        get_method(cfg.program.run)(cfg)


@contextmanager
def none_without_a_run() -> Iterator[None]:
    """Where the block ends by an error and has left nothing but its configuration, folders that are new are removed.

    Any other file there, such as a sweep's log of its job, keeps them.
    """
    try:
        yield
    except BaseException:
        if _made and not is_further_process():
            _remove(_made)
        raise


def _remove(made: list[Path]) -> None:
    if not made[0].is_dir() or {path.name for path in made[0].iterdir()} - {CONFIG}:
        return
    (made[0] / CONFIG).unlink(missing_ok=True)
    for folder in made:
        try:
            folder.rmdir()
        except OSError:  # another run's is in it
            return
