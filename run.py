"""Composes the configuration and calls one program: `python run.py program=train experiment=full_mix`."""

import os

# Before torch is loaded: its CPU threads else spin while they wait, and all but stop where another program has a core.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import hydra
from omegaconf import DictConfig

import experiments.schemas  # noqa: F401  (registers the schemas that configs are checked against)
from experiments.console import one_line_errors
from experiments.quoting import quoted_texts
from experiments.run_folder import run_program
from experiments.sweeps import in_sweep, run_job, told_when_stopped


@hydra.main(config_path="conf", config_name="run", version_base="1.3")
def main(cfg: DictConfig) -> float | None:
    if in_sweep():
        return run_job(cfg)
    run_program(cfg)
    return None


if __name__ == "__main__":
    with quoted_texts(), told_when_stopped(), one_line_errors():
        main()
