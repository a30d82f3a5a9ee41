"""What people state about images through the questionnaire, as JSON lines: a line for each item and annotator.

    {"key": "000017", "annotator": "ada", "images": {"reference": "r.png", "a": "a.png", "b": "b.png"},
     "forms": {"a": {"brightness": "undistorted", ..., "overall": "severe"}, "b": {...}},
     "better": "b", "better_by_field": {"noise": "b", "blur": "equal"}}

Images are paths relative to the folder that the lines are about. An item of one image has one form and no `better`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from depictqa.questionnaire import FIELDS, Questionnaire
from depictqa.sample import Slot
from depictqa.whole_file import write_whole

FACTORS = ("texture_damage", *FIELDS)
"""What the images of a pair are compared by; the overall preference stands beside them."""

EQUAL = "equal"


@dataclass(frozen=True)
class Annotation:
    """One annotator's form for each assessed image; for a pair the better one, by factor and overall.

    A factor's value is the better slot, or None where both are equal; a factor that was not asked is left out.
    """

    key: str
    annotator: str
    images: Mapping[Slot, str]
    forms: Mapping[Slot, Questionnaire]
    better: Slot | None = None
    better_by_field: Mapping[str, Slot | None] = field(default_factory=dict)

    @property
    def is_pair(self) -> bool:
        return Slot.A in self.forms and Slot.B in self.forms


def to_json(annotation: Annotation) -> dict[str, Any]:
    """Plain JSON values; what was not stated is left out."""
    value: dict[str, Any] = {"key": annotation.key, "annotator": annotation.annotator}
    value["images"] = {str(slot): annotation.images[slot] for slot in Slot if slot in annotation.images}
    value["forms"] = {str(slot): annotation.forms[slot].to_dict() for slot in Slot if slot in annotation.forms}
    if annotation.better is not None:
        value["better"] = str(annotation.better)
    if annotation.better_by_field:
        stated = annotation.better_by_field
        value["better_by_field"] = {name: str(stated[name] or EQUAL) for name in FACTORS if name in stated}
    return value


def from_json(value: Any, where: str = "annotation") -> Annotation:
    """The inverse of `to_json`. ValueError that begins with `where` and names the field."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, got {type(value).__name__}")
    known = {"key", "annotator", "images", "forms", "better", "better_by_field"}
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"{where}: field '{unknown[0]}' unknown; choose from {', '.join(sorted(known))}")
    for name, kind in (("key", str), ("annotator", str), ("images", dict), ("forms", dict)):
        if not isinstance(value.get(name), kind) or not value[name]:
            raise ValueError(f"{where}: field '{name}' is {value.get(name)!r}; give {_MEANING[name]}")
    images = images_from_json(value["images"], where)
    forms = {}
    for slot, form in value["forms"].items():
        try:
            forms[_slot(slot, "forms", where)] = Questionnaire.from_dict(form)
        except ValueError as error:
            raise ValueError(f"{where}: form '{slot}': {error}") from None
    if Slot.REFERENCE in forms or not forms.keys() <= images.keys():
        raise ValueError(f"{where}: field 'forms' is about {', '.join(forms)}; forms are about images a and b given")
    by_field = value.get("better_by_field", {})
    if not isinstance(by_field, dict) or not by_field.keys() <= set(FACTORS):
        raise ValueError(f"{where}: field 'better_by_field' is {by_field!r}; its names are {', '.join(FACTORS)}")
    annotation = Annotation(
        key=value["key"],
        annotator=value["annotator"],
        images=images,
        forms=forms,
        better=None if value.get("better") is None else _assessed(value["better"], "better", where),
        better_by_field={
            name: None if slot == EQUAL else _assessed(slot, f"better_by_field {name}", where)
            for name, slot in by_field.items()
        },
    )
    if not annotation.is_pair and (annotation.better is not None or annotation.better_by_field):
        raise ValueError(f"{where}: field 'better' is given, but there is one form; give a form for a and for b")
    return annotation


def images_from_json(value: Mapping[str, Any], where: str) -> dict[Slot, str]:
    """Image paths by slot. ValueError for a slot that is none, or a path that leaves the folder."""
    return {_slot(slot, "images", where): _path(path, where) for slot, path in value.items()}


def read_annotations(path: Path | str) -> list[Annotation]:
    """All lines of a file. ValueError names the file and the line."""
    return [from_json(value, where) for where, value in read_lines(path)]


def read_lines(path: Path | str) -> Iterator[tuple[str, Any]]:
    """Where each line of a JSON-lines file stands, for errors, and its value; empty lines are skipped."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' not found; give a file of JSON lines")
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"'{path}' line {number}"
            try:
                yield where, json.loads(line)
            except ValueError as error:
                raise ValueError(f"{where}: not JSON ({error}); mend or remove it") from None


def write_annotations(path: Path | str, annotations: Iterable[Annotation]) -> None:
    write_lines(path, map(to_json, annotations))


def write_lines(path: Path | str, values: Iterable[Any]) -> None:
    """Replace a JSON-lines file as a whole: a reader sees the old lines or the new ones."""
    write_whole(Path(path), "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


_MEANING = {
    "key": "the item's name as text",
    "annotator": "the annotator's name as text",
    "images": "a path for each slot",
    "forms": "a form for each assessed image",
}


def _slot(value: Any, name: str, where: str) -> Slot:
    try:
        return Slot(value)
    except ValueError:
        raise ValueError(f"{where}: field '{name}' names slot {value!r}; choose {', '.join(Slot)}") from None


def _assessed(value: Any, name: str, where: str) -> Slot:
    if value not in (Slot.A, Slot.B):
        equal = "" if name == "better" else f" or {EQUAL}"
        raise ValueError(f"{where}: field '{name}' is {value!r}; choose a, b{equal}")
    return Slot(value)


def _path(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: field 'images' holds {value!r}; give paths")
    if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
        raise ValueError(f"{where}: field 'images': '{value}' leaves the folder; give a path relative to it")
    return value
