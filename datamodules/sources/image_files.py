"""The image files of a raw dataset by name: tables and archives differ in upper and lower case, and in folders"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from datamodules.raw import FORMATS


class ImageFiles:
    """Image files anywhere below some folders of `raw`, found by the last `depth` parts of their paths in any case."""

    def __init__(self, raw: Path, folders: Iterable[Path], depth: int = 1) -> None:
        self.depth = depth
        self.paths: dict[str, str] = {}
        """Key -> path relative to `raw`."""
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.suffix.lower() in FORMATS and not path.name.startswith(".") and path.is_file():
                    relative = path.relative_to(raw).as_posix()
                    self.paths.setdefault(self.key(relative), relative)

    def key(self, name: str) -> str:
        return "/".join(PurePosixPath(name).parts[-self.depth :]).lower()

    def find(self, name: str) -> str | None:
        """The path of the file, relative to `raw`."""
        return self.paths.get(self.key(name))


def need_folders(base: Path, *names: str, origin: str) -> list[Path]:
    """The folders in `base` that have one of `names`, in any case. FileNotFoundError where there is none."""
    wanted = {name.lower() for name in names}
    entries = base.iterdir() if base.is_dir() else ()
    found = sorted(path for path in entries if path.is_dir() and path.name.lower() in wanted)
    if not found:
        raise FileNotFoundError(f"'{base / names[0]}' is missing; get it from {origin} and unpack it there (raw)")
    return found
