"""One answer to one question, as a line of JSON: what all evaluation emits, the model's and the baselines'
alike.

A result holds everything its figures need, so that a table can be made again without a model or an image.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from depictqa.sample import Slot, Task, Truth, Turn


class Seen(Protocol):
    """A sample, or what is known of it without opening its images (an entry of an index)."""

    @property
    def key(self) -> str: ...
    @property
    def task(self) -> Task: ...
    @property
    def slots(self) -> Collection[Slot]: ...
    @property
    def dialogue(self) -> tuple[Turn, ...]: ...
    @property
    def truth(self) -> Truth: ...
    @property
    def full_reference(self) -> bool: ...


@dataclass(frozen=True)
class Result:
    """`parsed` is what was read from `prediction` (its form is the benchmark's), or None with the `reason`
    why not. `error` says why there is no answer that might have been: an image that cannot be read, a request that
    failed.

    `confidence` in 0..1; `loss` is the mean over the target's tokens; `scores` are a score metric's values by
    slot (larger is better); `truth` is `Truth` as plain JSON. `subset` is the part of the benchmark that is
    also scored alone; `swap_of` the key of the result of the same pair with A and B in the other order;
    `judgements` what judges said of it (`depictqa.evaluation.judgements`). Fields that a benchmark has no use for
    stay empty.
    """

    key: str
    task: Task
    benchmark: str
    model: str
    full_reference: bool
    question: str
    prediction: str
    target: str
    confidence: float | None = None
    parsed: Any = None
    reason: str | None = None
    loss: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    truth: Mapping[str, Any] = field(default_factory=dict)
    subset: str | None = None
    swap_of: str | None = None
    error: str | None = None
    judgements: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def to_line(self) -> str:
        """Strict JSON without a line break. Infinite or undefined numbers have no place in it: ValueError."""
        record = {one.name: getattr(self, one.name) for one in fields(self)}
        try:
            return json.dumps(record, ensure_ascii=False, allow_nan=False, default=dict)
        except ValueError as error:
            raise ValueError(f"result '{self.key}' of {self.benchmark}: a number is infinite or NaN") from error

    @classmethod
    def from_line(cls, line: str) -> Result:
        """ValueError naming the first field that is missing, unknown or of the wrong type."""
        try:
            record = json.loads(line, parse_constant=_no_constant)
        except ValueError as error:
            raise ValueError(f"is no JSON ({error})") from error
        if not isinstance(record, dict):
            raise ValueError(f"is no JSON object but {type(record).__name__}")
        if unknown := sorted(set(record) - set(_TYPES)):
            raise ValueError(f"has an unknown field '{unknown[0]}'")
        if missing := [name for name in _REQUIRED if name not in record]:
            raise ValueError(f"has no field '{missing[0]}'")
        for name, value in record.items():
            if not _TYPES[name](value):
                raise ValueError(f"has a field '{name}' of the wrong type, {type(value).__name__}")
        if not 0 <= (record.get("confidence") or 0) <= 1:
            raise ValueError(f"has a confidence of {record['confidence']}, outside 0..1")
        if record.get("truth", {}).get("better", Slot.A) not in (Slot.A, Slot.B):
            raise ValueError(f"has a better image '{record['truth']['better']}' in its truth; known: a, b")
        if record["task"] not in list(Task):
            raise ValueError(f"has an unknown task '{record['task']}'; known: {', '.join(Task)}")
        return cls(**{**record, "task": Task(record["task"])})


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Whole or not at all: written beside `path`, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            for result in results:
                file.write(result.to_line() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_results(path: Path) -> list[Result]:
    """Errors name the file, the line and what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"results '{path}' not found; run program=evaluate first")
    try:
        return read_lines(path, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"results '{path}' are no UTF-8 text; evaluate again") from error


def read_lines(path: Path, text: str) -> list[Result]:
    """The results in the `text` of `path`."""
    # not splitlines(): answers may hold other Unicode line separators
    lines = enumerate(text.split("\n"), start=1)
    return [_read_line(path, number, line) for number, line in lines if line.strip()]


def truth_to_json(truth: Truth) -> dict[str, Any]:
    """What is known, and only that: empty parts are left out."""
    record: dict[str, Any] = {}
    if truth.better is not None:
        record["better"] = str(truth.better)
    if truth.vote is not None:
        record["vote"] = float(truth.vote)
    if truth.num_votes is not None:
        record["num_votes"] = truth.num_votes
    if truth.distortions:
        record["distortions"] = {
            str(slot): [{"name": d.name, "function": d.function, "severity": d.severity} for d in distortions]
            for slot, distortions in truth.distortions.items()
        }
    if truth.questionnaires:
        record["questionnaires"] = {str(slot): form.to_dict() for slot, form in truth.questionnaires.items()}
    if truth.mos:
        record["mos"] = {str(slot): float(mos) for slot, mos in truth.mos.items()}
    if truth.names:
        record["names"] = {str(slot): name for slot, name in truth.names.items()}
    if truth.same is not None:
        record["same"] = float(truth.same)
    return record


def make_result(sample: Seen, benchmark: str, model: str, prediction: str = "", **rest: Any) -> Result:
    """The result of one sample's last turn; `rest` are `Result`'s further fields."""
    turn = sample.dialogue[-1]
    return Result(
        key=sample.key,
        task=sample.task,
        benchmark=benchmark,
        model=model,
        full_reference=sample.full_reference,
        question=turn.question,
        prediction=prediction,
        target=turn.answer,
        truth=truth_to_json(sample.truth),
        **rest,
    )


def _read_line(path: Path, number: int, line: str) -> Result:
    try:
        return Result.from_line(line)
    except ValueError as error:
        raise ValueError(f"results '{path}', line {number} {error}; evaluate again") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_optional_number(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_judgements(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(by_judge, dict) for by_judge in value.values()):
        return False
    return all(_is_judgement(one) for by_judge in value.values() for one in by_judge.values())


def _is_judgement(value: Any) -> bool:
    if not isinstance(value, dict) or not {"score", "grades"} <= set(value) or not _is_optional_number(value["score"]):
        return False
    grades, exchanged = value["grades"], value.get("exchanged")
    grades_are_numbers = grades is None or isinstance(grades, list) and all(map(_is_number, grades))
    named = all(_is_optional_text(value.get(name)) for name in ("judge", "date"))
    return grades_are_numbers and named and (exchanged is None or _is_judgement(exchanged))


_TEXTS = ("key", "task", "benchmark", "model", "question", "prediction", "target")
_REQUIRED = (*_TEXTS, "full_reference")
_TYPES = {
    **dict.fromkeys(_TEXTS, _is_text),
    "full_reference": lambda value: isinstance(value, bool),
    "confidence": _is_optional_number,
    "parsed": lambda value: True,
    "reason": _is_optional_text,
    "loss": _is_optional_number,
    "scores": _is_scores,
    "truth": lambda value: isinstance(value, dict),
    "subset": _is_optional_text,
    "swap_of": _is_optional_text,
    "error": _is_optional_text,
    "judgements": _is_judgements,
}
