"""docs/files.md explains every file in a line."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("experiments", "datamodules", "src/depictqa", "bench")


def explained() -> dict[str, list[str]]:
    """Folder -> the files that the table under its heading names."""
    tables: dict[str, list[str]] = {"": []}
    folder = ""
    for line in (ROOT / "docs/files.md").read_text().splitlines():
        if line.startswith("## "):
            folder = line.split("`")[1].rstrip("/")
            tables[folder] = []
        elif line.startswith("| `"):
            tables[folder].append(line.split("`")[1])
    return tables


def test_every_source_file_is_explained() -> None:
    tables = explained()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT / folder))
            assert path.name == "__init__.py" or name in tables[folder], f"{folder}/{name} is not in docs/files.md"


def test_no_file_is_explained_that_is_gone() -> None:
    for folder, names in explained().items():
        for name in names:
            assert (ROOT / folder / name).exists(), f"{folder}/{name} is in docs/files.md, but not there"
            assert names.count(name) == 1, f"{folder}/{name} is twice in docs/files.md"
