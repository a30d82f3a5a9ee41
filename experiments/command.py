"""This program's own command line, for those who start it again: a sweep's jobs, and a process for each device."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from experiments.quoting import override

RUN = str(Path(__file__).resolve().parents[1] / "run.py")
OPTIONS = {"main": "--config-path", "command-line": "--config-dir"}
"""Where Hydra has configuration files from, and what tells it so."""


def again(folder: Path) -> list[str]:
    """The command of one run with this one's words and configuration files, in `folder`."""
    hydra = HydraConfig.get()
    files = ["--config-name", str(hydra.job.config_name)]
    for source in hydra.runtime.config_sources:
        if source.provider in OPTIONS:
            files += [OPTIONS[source.provider], source.path]
    search = [word for word in hydra.overrides.hydra if word.lstrip("+").startswith("hydra.searchpath=")]
    own = [override("hydra.run.dir", folder.absolute()), "hydra.mode=RUN"]
    return [sys.executable, RUN, *files, *search, *hydra.overrides.task, *own]
