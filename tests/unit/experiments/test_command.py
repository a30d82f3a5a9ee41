"""A command that is started again composes what it composed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

import experiments.schemas  # noqa: F401
from experiments.command import RUN, again

CONF = Path(RUN).parent / "conf"


def composed(monkeypatch: pytest.MonkeyPatch, words: list[str], folder: Path) -> tuple[Any, list[str]]:
    """What a command line composes, and the command that would start it again."""
    found: list[Any] = []

    @hydra.main(config_path=str(CONF), config_name="run", version_base="1.3")
    def main(cfg: DictConfig) -> None:
        found.extend([OmegaConf.to_container(cfg), again(folder)])

    monkeypatch.setattr(sys, "argv", [RUN, *words])
    main()
    return found[0], found[1]


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", "more", "experiment=mine"],
        ["hydra.searchpath=[file://more]", "experiment=mine"],
        ["--config-dir", "more", "--config-name", "other"],
        ["--config-path", "{conf}", "--config-name", "run", "seed=7"],
    ],
)
def test_configuration_files_of_ones_own_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "more" / "experiment" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\nseed: 7\n")
    (tmp_path / "more" / "other.yaml").write_text("defaults: [run, _self_]\nseed: 7\n")
    first, command = composed(monkeypatch, [word.format(conf=CONF) for word in words], tmp_path / "it's")
    assert first["seed"] == 7 and command[:2] == [sys.executable, RUN]
    second, same = composed(monkeypatch, command[2:], tmp_path / "it's")
    assert second == first and same == command and (tmp_path / "it's").is_dir()
