"""What an LLM is asked: a template's words around an annotation's form, said in words, and a question."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from datamodules.annotations import EQUAL, Annotation
from datamodules.writers.pools import image_name
from depictqa.questionnaire import FIELDS, Questionnaire
from depictqa.sample import Slot

PLACEHOLDERS = ("questionnaire", "question")
"""What a template for texts must hold, each in braces."""


def fill(template: str, name: str, values: Mapping[str, str]) -> str:
    """The template with `values` for its placeholders. ValueError names one that is missing or unknown."""
    try:
        found = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ValueError(f"prompt '{name}': {error}; write {{{{ for a brace of the text (writer.prompts)") from None
    if unknown := sorted(found - values.keys()):
        raise ValueError(f"prompt '{name}': {{{unknown[0]}}} unknown; choose from {_braced(values)} (writer.prompts)")
    if missing := [value for value in values if value not in found]:
        raise ValueError(f"prompt '{name}' lacks {{{missing[0]}}}; it must hold {_braced(values)} (writer.prompts)")
    return template.format(**values)


def in_words(annotation: Annotation) -> str:
    """All that is stated, a line for each field; for a pair one block for each image, then what is better."""
    if not annotation.is_pair:
        ((_, form),) = annotation.forms.items()
        return _form_in_words(form)
    blocks = [f"{image_name(slot)}:\n{_form_in_words(annotation.forms[slot])}" for slot in (Slot.A, Slot.B)]
    lines = [f"- overall: {_better_in_words(annotation.better)}"]
    lines += [f"- {_name(field)}: {_better_in_words(slot)}" for field, slot in annotation.better_by_field.items()]
    return "\n\n".join([*blocks, "\n".join(["Which image is better:", *lines])])


def _form_in_words(form: Questionnaire) -> str:
    stated = {_name(field): str(form.level(field)) for field in FIELDS}
    if form.texture_damage is not None:
        stated["texture damage"] = str(form.texture_damage).replace("undistorted", "none")
    if form.texture is not None:
        stated["main texture in the image"] = form.texture
    stated["image as a whole"] = str(form.overall)
    return "\n".join(f"- {name}: {value}" for name, value in stated.items())


def _name(field: str) -> str:
    return {"brightness": "brightness and contrast"}.get(field, field.replace("_", " "))


def _better_in_words(better: Slot | None) -> str:
    return EQUAL if better is None else image_name(better)


def _braced(names: Mapping[str, str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
