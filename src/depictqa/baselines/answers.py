"""Answers that were made elsewhere, as an answerer: lines of a file, matched to the samples by key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from depictqa.evaluation.answerer import MODEL, Reply
from depictqa.evaluation.result import Result
from depictqa.evaluation.samples import has_reference, peek
from depictqa.prompt import without_marker
from depictqa.sample import Sample, Task

logger = logging.getLogger(__name__)

MISSING = "the file has no answer to this sample"


@dataclass(frozen=True)
class Answer:
    """One line. What it leaves open (`task`, `full_reference`) fits any sample of its key."""

    key: str
    prediction: str
    task: str | None = None
    full_reference: bool | None = None
    model: str | None = None
    question: str | None = None
    confidence: float | None = None
    place: str = ""

    def fits(self, task: Task, full_reference: bool) -> bool:
        return self.task in (None, task) and self.full_reference in (None, full_reference)


class Answers:
    """Whole result lines, or lines of `key` and `prediction` with `task`, `full_reference`, `model`, `confidence` where
    they are known. `path` is such a file or a folder of `*.jsonl`; they are read at first use.

    Only the words count, what they mean is read anew. A sample without a line has a reply with that error. `name` is
    the row's; without it the lines' `model`, else the file's name. `group` is what messages call the options.
    """

    needs_reference: ClassVar[bool] = False

    def __init__(self, path: str | Path | None, name: str | None = None, group: str | None = None) -> None:
        self.path = path
        self.given_name = name
        self.group = group or f"baseline.{name or 'answers'}"

    def check(self) -> None:
        """One line where the file is not there, or a line of it is none."""
        _ = self.name, self.by_key

    @cached_property
    def name(self) -> str:
        if self.given_name is not None:
            return self.given_name
        models = sorted({answer.model for answers in self.by_key.values() for answer in answers if answer.model})
        if len(models) > 1 or models == [MODEL]:
            raise ValueError(
                f"answers '{self.path}' are of {', '.join(models)}; say what the row is called ({self.group}.name=NAME)"
            )
        return models[0] if models else Path(str(self.path)).stem

    @cached_property
    def tasks(self) -> frozenset[Task] | None:
        """Those of the lines where every line says its own; None, for all, where one leaves it open."""
        found = {answer.task for answers in self.by_key.values() for answer in answers}
        return None if None in found else frozenset(Task(task) for task in found if task is not None)

    @cached_property
    def by_key(self) -> dict[str, list[Answer]]:
        row = self.given_name or "answers"
        if self.path is None:
            raise ValueError(f"baseline '{row}' needs a file: path=FILE_OR_DIR or {self.group}.path=FILE_OR_DIR")
        found: dict[str, list[Answer]] = {}
        for answer in _read(Path(self.path).expanduser(), row, self.group):
            alike = found.setdefault(answer.key, [])
            for other in alike:
                if other.task == answer.task and other.full_reference == answer.full_reference:
                    raise ValueError(f"{answer.place} answers '{answer.key}' again, as {other.place} does; keep one")
            alike.append(answer)
        if not found:
            raise ValueError(f"answers '{self.path}' hold no line; write one for each of questions.jsonl")
        return found

    def cover(self, samples: Sequence[Sample]) -> int:
        """How many of a benchmark's samples have an answer; tells, without opening an image, of those that have none.

        ValueError where none has: the file is of another benchmark.
        """
        seen = [(peek(samples, index), has_reference(samples, index)) for index in range(len(samples))]
        answered = sum(self._find(one.key, one.task, reference) is not None for one, reference in seen)
        if seen and not answered:
            raise ValueError(
                f"answers '{self.path}' are of another benchmark: none of its {len(self.by_key)} keys (such as "
                f"'{next(iter(self.by_key))}') is among the {len(seen)} asked for (such as '{seen[0][0].key}')"
            )
        if answered < len(seen):
            logger.warning("%s: %d of %d samples have no answer", self.name,
                           len(seen) - answered, len(seen))  # fmt: skip
        unknown = sorted(set(self.by_key) - {one.key for one, _ in seen})
        if unknown:
            logger.warning("%s: %d keys are not asked for, such as '%s'", self.name, len(unknown), unknown[0])
        return answered

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        return [self._reply(sample) for sample in samples]

    def _reply(self, sample: Sample) -> Reply:
        answer = self._find(sample.key, sample.task, sample.full_reference)
        if answer is None:
            return Reply("", error=MISSING)
        asked = without_marker(sample.dialogue[-1].question)
        if answer.question is not None and without_marker(answer.question) != asked:
            raise ValueError(
                f"{answer.place} answers another question of '{sample.key}' than is asked: '{answer.question}'; "
                "write the questions again and answer those"
            )
        return Reply(answer.prediction, answer.confidence)

    def _find(self, key: str, task: Task, full_reference: bool) -> Answer | None:
        return next((one for one in self.by_key.get(key, ()) if one.fits(task, full_reference)), None)


def _read(path: Path, row: str, group: str) -> Iterator[Answer]:
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not path.exists():
        what = "no *.jsonl in folder" if path.is_dir() else "no file or folder"
        raise FileNotFoundError(f"baseline '{row}': {what} '{path}' (path=FILE_OR_DIR or {group}.path=FILE_OR_DIR)")
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"answers '{file}' are no UTF-8 text; write them again") from error
        for number, line in enumerate(lines, start=1):
            if line.strip() and (answer := _parse(line, f"answers '{file}', line {number}")) is not None:
                yield answer


def _parse(line: str, place: str) -> Answer | None:
    """None for a result with an error: that is no answer."""
    try:
        record: Any = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{place}: is no JSON ({error})") from error
    if not isinstance(record, dict) or not {"key", "prediction"} <= set(record):
        raise ValueError(f"{place}: has no 'key' and 'prediction'; an answer is {{\"key\": ..., \"prediction\": ...}}")
    whole = {
        "benchmark": "",
        "question": "",
        "target": "",
        "model": "",
        "task": Task.COMPARISON,
        "full_reference": False,
    }
    try:
        Result.from_line(json.dumps(whole | record))  # the one rule of what each field may hold
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    if record.get("error") is not None:
        return None
    kept = ("key", "prediction", "task", "full_reference", "model", "question", "confidence")
    return Answer(**{name: record[name] for name in kept if name in record}, place=place)
