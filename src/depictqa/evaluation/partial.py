"""Results that are being made: each batch is on disk as soon as it is answered, so that nothing is asked twice."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from depictqa.evaluation.result import Result, read_lines
from depictqa.whole_file import write_whole

SUFFIX = ".partial"


class PartialResults:
    """`<path>.partial`, which becomes `path` when it is finished. A cut last line is no result."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.beside = self.path.with_name(self.path.name + SUFFIX)

    def kept(self) -> tuple[list[Result], bool]:
        """What an earlier run left, and whether it had finished. ValueError for a broken line that is not the last."""
        for path, finished in ((self.beside, False), (self.path, True)):  # beside an older one stands a newer attempt
            if path.is_file():
                whole, _, _ = path.read_bytes().rpartition(b"\n")
                return read_lines(path, whole.decode(errors="replace")), finished
        return [], False

    def start(self, kept: Iterable[Result]) -> None:
        """Only these are there from now on; they may be those that were read from here."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.beside, _lines(kept))

    def add(self, results: Iterable[Result]) -> None:
        text = _lines(results)
        with open(self.beside, "a", encoding="utf-8") as file:
            file.write(text)

    def finish(self) -> None:
        with open(self.beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.beside, self.path)


def _lines(results: Iterable[Result]) -> str:
    return "".join(result.to_line() + "\n" for result in results)
