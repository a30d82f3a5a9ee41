"""Imports go one way: run.py -> experiments -> datamodules -> depictqa."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = {"hydra", "omegaconf", "wandb"}
FORBIDDEN = {
    "src/depictqa": CONFIGURATION | {"datamodules", "experiments"},
    "datamodules": CONFIGURATION | {"experiments"},
}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it (lazy imports count)."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_go_one_way(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert len(files) >= 5
    wrong = {str(f.relative_to(ROOT)): sorted(imported(f) & FORBIDDEN[folder]) for f in files}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_check_sees_lazy_and_relative_imports(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from . import x\ndef f():\n    import hydra.utils\n    from omegaconf import DictConfig\n")
    assert imported(file) == {"hydra", "omegaconf"}


def test_run_is_short() -> None:
    code = [line for line in (ROOT / "run.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 20
