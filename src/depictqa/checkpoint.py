"""Checkpoints on disk: written whole or not at all, and read without running code from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from depictqa.whole_file import why_unreadable


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, then rename it to `path`.

    Until the rename the old file of that name is untouched; a failure (a full disk, say) leaves it as it was and
    removes the part that was written. Raises OSError with the path in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    watched = None
    try:
        with beside.open("wb") as file:
            watched = _Watched(file)
            write(watched)  # type: ignore[arg-type]
            watched.sync()
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        # torch's zip writer hides the OSError of a write behind a RuntimeError of its own
        failure = error if isinstance(error, OSError) else getattr(watched, "failure", None)
        if failure is None:
            raise
        reason = failure.strerror or failure
        raise OSError(
            f"could not write {path} ({reason}); what was written before is whole; free some space or choose another "
            "folder"
        ) from error


def rotate(new: Path, last: Path, previous: Path) -> None:
    """`new` becomes `last`, and what was `last` becomes `previous`. Files, or folders of a sharded checkpoint.

    Wherever it is cut short, two of the three are there (from the second checkpoint on), whole and apart.
    """
    if last.exists():
        if previous.is_dir():
            shutil.rmtree(previous)
        os.replace(last, previous)
    os.replace(new, last)


def remove_parts(folder: Path) -> None:
    """What writers that were killed have left in `folder`."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


class _Watched:
    """A file that remembers the OSError of a failed write."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        self.file.flush()

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())


def read_checkpoint(path: Path, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """The dictionary in a checkpoint file, with `weights_only`: a file that holds anything but plain data is refused.
    `mmap`: tensors are read when they are used, if they are.

    Raises FileNotFoundError or ValueError in one line.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}; give a file, or a run's folder that holds checkpoints/last.ckpt"
        )
    try:
        content = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception as error:  # torch raises several unrelated types here: pickle, zip, runtime, EOF
        raise ValueError(f"{path} is no readable checkpoint: {why_unreadable(path, error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a checkpoint's dictionary")
    return content


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's reader and writer of checkpoints, through the two functions above.

    Lightning's own stages in the temp folder and copies, which is not atomic across file systems: on a full disk the
    last good checkpoint was destroyed.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if storage_options is not None:
            raise TypeError("AtomicCheckpointIO takes no storage_options")
        write_atomically(Path(path), lambda file: torch.save(checkpoint, file))

    def load_checkpoint(
        self, path: Any, map_location: Any | None = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
