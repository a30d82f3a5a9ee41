"""Answers on disk while people give them: one file for all annotators, written anew with each answer.

An answer takes the place of the same person's earlier one, so every line in the file counts, and whoever reads it
needs no rule for repeats. Writing the whole file leaves no half line behind, whatever ends the program; a lock lets
several programs (one for each annotator) keep their answers in one file.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datamodules.annotations import read_lines, write_lines


def put_line(path: Path, line: Mapping[str, Any], same: Sequence[str]) -> None:
    """Write `line` over the one that agrees with it in the fields `same`, or at the end. OSError: nothing changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        lines = [value for _, value in read_lines(path)] if path.exists() else []
        place = [name for name, value in enumerate(lines) if all(value.get(field) == line[field] for field in same)]
        if place:
            lines[place[0]] = line
        else:
            lines.append(line)
        write_lines(path, lines)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One program at a time; the lock goes with the program that holds it, however it ends."""
    with open(path.with_name(f".{path.name}.lock"), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
