"""One's own annotations and the texts that were written from them, as the detailed source.

The folder holds `annotations.jsonl`, the images that it names, and the texts: `revised.jsonl` (accepted and edited
ones), else `drafts.jsonl` (written ones); without either, texts are made from the forms by rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.annotations import Annotation, read_annotations, read_lines
from datamodules.held_out import split_names
from datamodules.parts import Part, Rejected
from datamodules.raw import need_file, need_folder, read_image
from datamodules.records import Record, RecordSample, record_key
from datamodules.shards import SPLITS
from datamodules.writers.drafts import items_of, write_by_rule
from depictqa.sample import Slot, Task, Truth, Turn

LICENCE = "the user's own"
ANNOTATIONS, REVISED, DRAFTS = "annotations.jsonl", "revised.jsonl", "drafts.jsonl"
TASKS = (Task.DESCRIPTION, Task.REASONING)


@dataclass(frozen=True)
class Text:
    """A question and its answer; `annotator` is whose form it was written from, None where that is not told."""

    where: str
    key: str
    annotator: str | None
    task: Task
    turn: Turn


@dataclass(frozen=True)
class Annotated:
    """The images of one item and all texts about them."""

    where: str
    images: tuple[tuple[Slot, str], ...]
    samples: tuple[RecordSample, ...]


def parts(raw: Path, seed: int, val: float = 0.05, test: float = 0.1) -> list[Part]:
    """Every text with the reference image, if there is one, and without.

    `val` and `test` are shares of the items' references (of their images where there is none). A text whose item is
    not annotated is set apart; ValueError or FileNotFoundError for files that cannot be read.
    """
    need_folder(raw, "the folder of your annotations and images")
    path = need_file(raw, ANNOTATIONS, origin="program=annotate (out=)")
    annotations: dict[str, list[Annotation]] = {}
    for annotation in read_annotations(path):
        annotations.setdefault(annotation.key, []).append(annotation)
    texts: dict[str, list[Text]] = {}
    rejected = []
    for text in _texts(raw, annotations, seed):
        if text.key in annotations:
            texts.setdefault(text.key, []).append(text)
        else:
            rejected.append(Rejected(text.where, f"item '{text.key}' is not in {ANNOTATIONS}; add its line"))
    items = {key: _annotated(annotations[key], about) for key, about in texts.items()}
    splits = split_names(map(_origin, items.values()), seed, val, test)
    found: dict[str, list[Annotated | Rejected]] = {
        split: [item for item in items.values() if splits[_origin(item)] == split] for split in SPLITS
    }
    if not items:
        raise ValueError(
            f"'{raw}' holds no text to learn from; accept some (program=revise), or write some (program=write)"
        )
    found["train"] += rejected
    return [Part("detailed", split, found[split], partial(_record, raw), LICENCE) for split in SPLITS if found[split]]


def _texts(raw: Path, annotations: Mapping[str, Sequence[Annotation]], seed: int) -> Iterator[Text]:
    if (raw / REVISED).is_file():
        for where, value in read_lines(raw / REVISED):
            if _field(value, "verdict", where) in ("accepted", "edited"):
                yield _text(value, None, where)  # its annotator is who revised it
    elif (raw / DRAFTS).is_file():
        for where, value in read_lines(raw / DRAFTS):
            if _field(value, "outcome", where) == "written":
                yield _text(value, _field(value, "annotator", where), where)
    else:
        for draft in write_by_rule(items_of([one for of_key in annotations.values() for one in of_key], seed)):
            where = f"'{raw / ANNOTATIONS}' item '{draft.key}'"
            yield Text(where, draft.key, draft.annotator, draft.task, Turn(draft.question, draft.text))


def _text(value: Mapping[str, Any], annotator: str | None, where: str) -> Text:
    task = _field(value, "task", where)
    if task not in TASKS:
        raise ValueError(f"{where}: field 'task' is '{task}'; choose {', '.join(TASKS)}")
    turn = Turn(_field(value, "question", where), _field(value, "text", where))
    return Text(where, _field(value, "key", where), annotator, Task(task), turn)


def _field(value: Any, name: str, where: str) -> str:
    if not isinstance(value, dict) or not isinstance(value.get(name), str) or not value[name]:
        got = value.get(name) if isinstance(value, dict) else value
        raise ValueError(f"{where}: field '{name}' is {got!r:.80}; give text")
    return value[name]


def _annotated(annotations: Sequence[Annotation], texts: Sequence[Text]) -> Annotated:
    """Where several people annotated an item and a text does not tell whose form it states, the form stays open."""
    images = annotations[0].images
    samples = []
    for text in texts:
        forms = [one for one in annotations if text.annotator in (None, one.annotator)]
        truth = Truth(better=forms[0].better, questionnaires=forms[0].forms) if len(forms) == 1 else Truth()
        assessed = tuple(slot for slot in (Slot.A, Slot.B) if slot in annotations[0].forms)
        if Slot.REFERENCE in images:
            samples.append(RecordSample(text.task, (Slot.REFERENCE, *assessed), (text.turn,), truth))
        samples.append(RecordSample(text.task, assessed, (text.turn,), truth))
    return Annotated(texts[0].where, tuple((slot, images[slot]) for slot in Slot if slot in images), tuple(samples))


def _origin(item: Annotated) -> str:
    images = dict(item.images)
    return images.get(Slot.REFERENCE) or "|".join(sorted(images.values()))


def _record(raw: Path, number: int, item: Annotated) -> Record:
    try:
        images = {slot: read_image(raw, name) for slot, name in item.images}
    except (ValueError, OSError) as error:
        raise ValueError(f"{item.where}: {error}") from error
    return Record(record_key(number, Path(item.images[-1][1]).stem), images, item.samples, _origin(item))
