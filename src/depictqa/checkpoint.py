"""Checkpoints on disk: written whole or not at all, and read without running code from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, then rename it to `path`.

    Until the rename the old file of that name is untouched; a failure (a full disk, say) leaves it as it was and
    removes the part that was written. Raises OSError with the path in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
        beside.unlink(missing_ok=True)
        if isinstance(error, RuntimeError) and not _is_write_failure(error):
            raise
        what = "the one before is kept" if path.exists() else "nothing was left there"
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OSError(f"could not write {path} ({reason}); {what}; free some space or choose another folder") from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _is_write_failure(error: RuntimeError) -> bool:
    text = str(error)
    return isinstance(error.__context__, OSError) or "PytorchStreamWriter" in text or "unexpected pos" in text


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The dictionary in a checkpoint file, with `weights_only`: a file that holds anything but plain data is refused.

    Raises FileNotFoundError or ValueError in one line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; give a file, or a run's folder that holds checkpoints/last.ckpt")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises several unrelated types here: pickle, zip, runtime, EOF
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is no readable checkpoint ({reason[:120]}); it may be cut short or unsafe to load") from error
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
