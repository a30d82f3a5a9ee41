"""An answer's words as plain JSON: what a result keeps as `parsed`, in one form for every task.

{"better": "a" | "b" | "neither",
 "fields": {slot: {field: level}},      what is stated of an image, and only that
 "distortions": {slot: [class, ...]}}   absent where a text speaks of none and denies none
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from depictqa.parsing import ParsedFields, Preference, parse_description, parse_preference, parse_reasoning
from depictqa.sample import Slot, Task

NEITHER = "neither"
"""Words that find both images alike take a stand, but pick none: parsed, and wrong where one is better."""


def read_answer(task: Task, text: str, slots: Collection[Slot]) -> tuple[dict[str, Any] | None, str | None]:
    """(parsed, None), or (None, reason) where nothing can be read. `slots` are those of the sample's images.

    A task without a form of its own (content) gives (None, None).
    """
    if task in (Task.COMPARISON, Task.RATING) and Slot.B in slots:
        preference = parse_preference(text)
        return _better(preference) or None, preference.reason
    if task is Task.REASONING:
        read = parse_reasoning(text)
        parsed = _better(read.preference) | _statements({Slot.A: read.a, Slot.B: read.b})
        return (parsed, None) if parsed else (None, read.preference.reason)
    if task in (Task.DESCRIPTION, Task.ASSESSMENT, Task.IDENTIFICATION):
        (slot,) = [slot for slot in slots if slot is not Slot.REFERENCE]
        parsed = _statements({slot: parse_description(text)})
        return (parsed, None) if parsed else (None, "the answer states no field of the questionnaire")
    return None, None


def _better(preference: Preference) -> dict[str, Any]:
    if not preference.parsed:
        return {}
    return {"better": NEITHER if preference.better is None else str(preference.better)}


def _statements(read: dict[Slot, ParsedFields]) -> dict[str, Any]:
    """Nothing at all where no image has a statement."""
    stated = {str(slot): stated_fields(form) for slot, form in read.items()}
    named = {str(slot): sorted(form.classes) for slot, form in read.items() if form.classes is not None}
    parsed: dict[str, Any] = {}
    if any(stated.values()):
        parsed["fields"] = stated
    if named:
        parsed["distortions"] = named
    return parsed


def stated_fields(form: ParsedFields) -> dict[str, str]:
    """Field -> level, of what is stated."""
    values = {one.name: getattr(form, one.name) for one in fields(form) if one.name != "classes"}
    return {name: str(value) for name, value in values.items() if value is not None}
