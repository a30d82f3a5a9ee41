"""A text file that is written whole or not at all."""

from __future__ import annotations

import os
import pickle
import threading
import zipfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a file: a reader, and whoever comes after a kill, sees the old one or the new one.

    Written beside it under a name of this process and thread, flushed to disk, renamed. On an error nothing is left.
    """
    beside = path.with_name(f".{path.name}.partial-{os.getpid()}-{threading.get_ident()}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def why_unreadable(path: Path, error: Exception) -> str:
    """What is wrong with a file of weights that torch or safetensors could not read, in words of ours: theirs are those
    of their archives."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    archive = path.suffix != ".safetensors" and zipfile.is_zipfile(path)  # its directory stands at the file's end
    if isinstance(error, pickle.UnpicklingError) and (archive or "Unsupported global" in str(error)):
        return "it holds more than plain data, which is not loaded"
    if archive:
        return f"it is broken ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
    return "it is cut short or broken"
