"""Composes the configuration and calls one program: `python run.py program=train experiment=full_mix`."""

import os

# Before torch is loaded: its threads then sleep while they wait. Spinning, they would stop each other for seconds
# wherever another program takes one of the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hydra
from omegaconf import DictConfig

import experiments.schemas  # noqa: F401  (registers the schemas that configs are checked against)
from experiments.console import one_line_errors


@hydra.main(config_path="conf", config_name="run", version_base="1.3")
def main(cfg: DictConfig) -> None:
    with one_line_errors():
        hydra.utils.get_method(cfg.program.run)(cfg)


if __name__ == "__main__":
    with one_line_errors():
        main()
