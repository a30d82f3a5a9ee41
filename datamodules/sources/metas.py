"""The JSON metas of the DepictQA releases (MBAPPS, DQ-495K) as records: arrays of objects, images by path.

A training object holds `task_type`, `image_ref`, `image_A`, `image_B` (`image` for content descriptions)
and `conversations`; a test object `id`, the images, `query` and `answer`. What else it may tell of the
truth is read where it is there: `A_better_B`, the questionnaire's `texture`, `distortion` and `overall`,
and DQ-495K's distortion classes, functions and severities. Objects about the same images become one record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.conversations import read_array, read_dialogue, read_text, without_marker
from datamodules.held_out import check_share, is_held_out
from datamodules.meta_truth import truth_of
from datamodules.parts import Part, Rejected
from datamodules.raw import need_folder, path_inside, read_image
from datamodules.records import Record, RecordSample, record_key
from depictqa.official import ReleasedTask, parse_task
from depictqa.sample import Slot, Task, Turn

LICENCE = "as each released dataset states"
FIELDS = {Slot.REFERENCE: "image_ref", Slot.A: "image_A", Slot.B: "image_B"}
LONG_ANSWER = 22  # words; the release calls answers of that many and more long
# The release names a task by its images alone; what is asked follows from the kind of file it stands in.
ASKED = {
    ("templated", Task.DESCRIPTION): Task.IDENTIFICATION,
    ("detailed", Task.COMPARISON): Task.REASONING,
}


@dataclass(frozen=True)
class MetaSample:
    """One object of a file: where it stands, its images' paths under the data root, and what is asked."""

    origin: str
    name: str
    images: Mapping[Slot, str]
    reference: str
    sample: RecordSample


def parts(raw: Path, seed: int, held_out: float = 0.01) -> list[Part]:
    """All metas under the data root `raw`, sorted into sources and splits.

    `held_out` is the share of training references that go to `val`, which the releases do not have; which
    ones is a function of name and seed. An object whose images are missing or outside the root is set apart;
    ValueError or FileNotFoundError, naming file, record and field, for one that is no such object.
    """
    check_share(held_out)
    need_folder(raw, "the data root that holds images and metas")
    found: dict[tuple[str, str], list[MetaSample]] = {}
    rejected: dict[tuple[str, str], list[Rejected]] = {}
    files = sorted(path for path in raw.rglob("*.json") if _in_metas(path.relative_to(raw)))
    files = files or sorted(raw.glob("*.json"))
    for path in files:
        split, samples = read_metas(path)
        for sample in samples:
            missing = _missing_image(sample, raw)
            if missing is not None:
                rejected.setdefault((_source_of(sample.sample.task), split), []).append(missing)
                continue
            place = "val" if split == "train" and is_held_out(_origin(sample), seed, held_out) else split
            found.setdefault((_source_of(sample.sample.task), place), []).append(sample)
    if not found and not rejected:
        raise ValueError(f"'{raw}' holds no metas; put them into folders named metas, or beside the images")
    return [
        Part(*place, [*group(found.get(place, [])), *rejected.get(place, [])], partial(_record, raw), LICENCE)
        for place in sorted(found.keys() | rejected.keys())
    ]


def read_metas(path: Path) -> tuple[str, list[MetaSample]]:
    """The split that a file is of, and its objects."""
    objects = read_array(path, "metas")
    for number, value in enumerate(objects):
        if not isinstance(value, dict):
            raise ValueError(f"'{path}' record {number}: expected an object, got {type(value).__name__}")
    is_train = all("conversations" in value for value in objects)
    split = "val" if path.stem.startswith("val") else "train" if is_train else "test"
    kind = _kind_of_file(path, objects)
    return split, [_read(value, f"'{path}' record {number}", kind) for number, value in enumerate(objects)]


def group(samples: Sequence[MetaSample]) -> list[list[MetaSample]]:
    """Samples whose images can share one record: the same A and B, and no two different references."""
    groups: dict[tuple[str | None, str | None], list[list[MetaSample]]] = {}
    for sample in samples:
        assessed = (sample.images.get(Slot.A), sample.images.get(Slot.B))
        candidates = groups.setdefault(assessed, [])
        reference = sample.images.get(Slot.REFERENCE)
        for members in candidates:
            known = {member.images[Slot.REFERENCE] for member in members if Slot.REFERENCE in member.images}
            if reference is None or not known or reference in known:
                members.append(sample)
                break
        else:
            candidates.append([sample])
    return [members for candidates in groups.values() for members in candidates]


def _record(root: Path, number: int, members: Sequence[MetaSample]) -> Record:
    paths = {slot: path for member in members for slot, path in member.images.items()}
    key = record_key(number, members[0].name)
    try:
        images: dict[Slot, Any] = {slot: read_image(root, path) for slot, path in paths.items()}
    except (ValueError, OSError) as error:
        raise ValueError(f"{members[0].origin}: {error}") from error
    reference = next((member.reference for member in members if member.reference), "")
    return Record(key, images, tuple(member.sample for member in members), reference)


def _missing_image(sample: MetaSample, root: Path) -> Rejected | None:
    for slot, name in sample.images.items():
        where = f"{sample.origin}: field '{FIELDS[slot]}'"
        try:
            if not path_inside(root, name).is_file():
                return Rejected(where, f"image '{root / name}' not found; put it there")
        except ValueError as error:
            return Rejected(where, str(error))
    return None


def _read(value: Mapping[str, Any], where: str, kind: str) -> MetaSample:
    released = _task(value, where)
    if released.task is Task.CONTENT:
        images = {Slot.A: _path(value, "image", where)}
    else:
        images = {slot: _path(value, FIELDS[slot], where) for slot in released.slots}
    task = ASKED.get((kind, released.task), released.task)
    truth = truth_of(value, task, images.keys(), where)
    if task is Task.DESCRIPTION and any(truth.distortions.values()):
        task = Task.ASSESSMENT  # DQ-495K's texts weigh known distortions; MBAPPS's describe a questionnaire
    sample = RecordSample(task, tuple(images), _dialogue(value, where), truth)
    reference = value.get("image_ref")
    origin = reference if isinstance(reference, str) else images[Slot.A] if task is Task.CONTENT else ""
    return MetaSample(where, str(value.get("id", "")), images, origin, sample)


def _task(value: Mapping[str, Any], where: str) -> ReleasedTask:
    """By name; a test object without one shows by its images what is asked."""
    name = value.get("task_type")
    if name is None and "conversations" not in value:
        filled = {slot for slot, field in FIELDS.items() if value.get(field)}
        name = "quality_compare" if {Slot.A, Slot.B} <= filled else f"quality_single_{'B' if Slot.B in filled else 'A'}"
        name += "" if Slot.REFERENCE in filled else "_noref"
    if name is None:
        raise ValueError(f"{where}: field 'task_type' is missing; add it")
    try:
        return parse_task(str(name))
    except ValueError as error:
        raise ValueError(f"{where}: field 'task_type': {error}") from None


def _path(value: Mapping[str, Any], field: str, where: str) -> str:
    path = value.get(field)
    if not isinstance(path, str) or not path:
        state = "missing" if path is None else f"{path!r}, not a path"
        raise ValueError(f"{where}: field '{field}' is {state}; its task '{value.get('task_type')}' needs that image")
    return path


def _dialogue(value: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    if "conversations" in value:
        return read_dialogue(value, where)
    return (Turn(without_marker(read_text(value, "query", where)), read_text(value, "answer", where)),)


def _kind_of_file(path: Path, objects: Sequence[Mapping[str, Any]]) -> str:
    """Whether a file's answers are templated or detailed: by its name, its forms or its usual length."""
    if "detail" in path.stem or any("texture" in value for value in objects):
        return "detailed"
    answers = []
    for value in objects:
        said = value.get("conversations") or [{}]
        answer = value.get("answer", said[-1].get("value") if isinstance(said[-1], dict) else None)
        answers.append(len(answer.split()) if isinstance(answer, str) else 0)
    return "detailed" if sorted(answers)[len(answers) // 2] >= LONG_ANSWER else "templated"


def _in_metas(path: Path) -> bool:
    """`BAPPS/metas/train.json`, `KADIS700K/metas_combine/A_sd_md/train.json`."""
    return any(folder.startswith("metas") for folder in path.parts[:-1])


def _source_of(task: Task) -> str:
    if task is Task.CONTENT:
        return "external"
    return "templated" if task in (Task.COMPARISON, Task.RATING, Task.IDENTIFICATION) else "detailed"


def _origin(sample: MetaSample) -> str:
    """What decides the split, so that a photo is on one side only: the reference, or else the assessed images."""
    return sample.reference or "|".join(sorted(sample.images.values()))
