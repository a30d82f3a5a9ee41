"""What the released metas tell of the truth beside the answer: the better image, forms, distortions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from datamodules.distortions import CLASSES
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Distortion, Slot, Task, Truth

FORM = {"bright": "brightness", "color": "color", "noise": "noise", "artifact": "artifacts", "blur": "blur"}


def truth_of(value: Mapping[str, Any], task: Task, slots: Collection[Slot], where: str) -> Truth:
    """Of one object; what it does not tell stays open. ValueError naming the field that cannot be read."""
    better = value.get("A_better_B")
    if better is not None and not (isinstance(better, bool) or better in (0, 1)):
        raise ValueError(f"{where}: field 'A_better_B' is {better!r}; give true or false")
    assessed = [slot for slot in (Slot.A, Slot.B) if slot in slots]
    distortions = {}
    for slot in assessed:
        own = value.get(f"distortions_{slot.upper()}") if task.compares else value
        if isinstance(own, Mapping):
            found = _distortions(own, f"{where} image {slot.upper()}")
            if found is not None:
                distortions[slot] = found
    forms = {}
    if len(assessed) == 1 and "texture" in value and "distortion" in value:
        forms[assessed[0]] = _form(value, where)
    return Truth(
        better=None if better is None or not task.compares else Slot.A if better else Slot.B,
        distortions=distortions,
        questionnaires=forms,
    )


def _distortions(value: Mapping[str, Any], where: str) -> tuple[Distortion, ...] | None:
    """DQ-495K: one `distortion_class`, `distortion_name`, `severity`, or lists of them; null where clean.

    None where nothing is told at all.
    """
    if "distortion_classes" in value:
        names, fields = ("distortion_classes", "distortion_names", "severities"), None
        fields = [value.get(name) or [] for name in names]
    elif "distortion_class" in value:
        names = ("distortion_class", "distortion_name", "severity")
        fields = [[value.get(name)] if value.get(name) else [] for name in names]
    else:
        return None
    if not all(isinstance(field, list) and len(field) == len(fields[0]) for field in fields):
        raise ValueError(f"{where}: fields {', '.join(names)} differ in length; give each distortion all three")
    found = []
    for kind, function, severity in zip(*fields, strict=True):
        if kind not in CLASSES:
            raise ValueError(f"{where}: field '{names[0]}': class '{kind}' unknown; choose {', '.join(CLASSES)}")
        if not isinstance(severity, int) or not 1 <= severity <= 5:
            raise ValueError(f"{where}: field '{names[2]}' is {severity!r}; give a whole number 1..5")
        found.append(Distortion(str(kind), str(function), severity))
    return tuple(found)


def _form(value: Mapping[str, Any], where: str) -> Questionnaire:
    texture, distortion = value["texture"], value["distortion"]
    for name, part in (("texture", texture), ("distortion", distortion)):
        if not isinstance(part, Mapping):
            raise ValueError(f"{where}: field '{name}' must be an object, got {type(part).__name__}")
    stated: dict[str, Any] = {
        ours: _word(Level, distortion, theirs, f"{where} distortion") for theirs, ours in FORM.items()
    }
    category = texture.get("texture_type")
    damage = _word(Level, texture, "texture_damage", f"{where} texture") if "texture_damage" in texture else None
    overall = _word(Overall, value, "overall", where)
    return Questionnaire(**stated, overall=overall, texture=category, texture_damage=damage)


def _word(kind: type[Any], value: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in value:
        raise ValueError(f"{where}: field '{name}' is missing; add it")
    try:
        return kind(str(value[name]).strip().lower())
    except ValueError:
        choices = ", ".join(word.capitalize() for word in kind)
        raise ValueError(f"{where}: field '{name}' is {value[name]!r}; choose {choices}") from None
