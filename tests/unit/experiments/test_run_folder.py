"""A run that was refused leaves no folder, and takes none that was there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import run_folder
from experiments.run_folder import none_without_a_run

ROOT = Path(__file__).resolve().parents[3]


def refused(folder: Path, *words: str) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "trainer.precision=foo", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: trainer.precision 'foo' unknown")


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_refused_command_leaves_nothing(tmp_path: Path) -> None:
    refused(tmp_path)
    assert left(tmp_path) == []


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "config.yaml").touch()
    before = left(tmp_path)
    refused(tmp_path, "hydra.run.dir=full")
    refused(tmp_path, "hydra.run.dir=empty/new")
    assert left(tmp_path) == before


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        (["config.yaml"], []),
        (["config.yaml", "log.txt"], ["a", "a/b", "a/b/config.yaml", "a/b/log.txt"]),
        (["../other/config.yaml"], ["a", "a/other", "a/other/config.yaml"]),
    ],
)
def test_only_a_configuration_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], kept: list[str]
) -> None:
    monkeypatch.setattr(run_folder, "_made", [tmp_path / "a" / "b", tmp_path / "a"])
    with pytest.raises(ValueError, match="refused"), none_without_a_run():
        (tmp_path / "a" / "b").mkdir(parents=True)
        for name in files:
            (tmp_path / "a" / "b" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "a" / "b" / name).touch()
        raise ValueError("refused")
    assert left(tmp_path) == kept
