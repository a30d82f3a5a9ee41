"""The README explains every file in a line."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_source_file_is_explained() -> None:
    readme = (ROOT / "README.md").read_text()
    for base in ("experiments", "datamodules", "src/depictqa"):
        for path in sorted((ROOT / base).rglob("*.py")):
            name = str(path.relative_to(ROOT / base))
            assert path.name == "__init__.py" or f"| `{name}` | " in readme, f"{base}/{name} is not in the README"


def test_no_file_is_explained_that_is_gone() -> None:
    listed = [line.split("`")[1] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    for name in (name for name in listed if name.endswith(".py")):
        places = [ROOT / base / name for base in (".", "experiments", "datamodules", "src/depictqa")]
        assert any(place.is_file() for place in places), f"{name} is in the README, but not there"
