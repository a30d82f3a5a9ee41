"""What an LLM is asked: a template's words around an annotation's form, said in words, and a question."""

from __future__ import annotations

from datamodules.annotations import EQUAL, Annotation
from datamodules.writers.pools import image_name
from depictqa.questionnaire import field_in_words, form_in_words
from depictqa.sample import Slot

PLACEHOLDERS = ("questionnaire", "question")
"""What a template for texts must hold, each in braces."""


def in_words(annotation: Annotation) -> str:
    """All that is stated, a line for each field; for a pair one block for each image, then what is better."""
    if not annotation.is_pair:
        ((_, form),) = annotation.forms.items()
        return form_in_words(form)
    blocks = [f"{image_name(slot)}:\n{form_in_words(annotation.forms[slot])}" for slot in (Slot.A, Slot.B)]
    lines = [f"- overall: {_better_in_words(annotation.better)}"]
    by_field = annotation.better_by_field.items()
    lines += [f"- {field_in_words(field)}: {_better_in_words(slot)}" for field, slot in by_field]
    return "\n\n".join([*blocks, "\n".join(["Which image is better:", *lines])])


def _better_in_words(better: Slot | None) -> str:
    return EQUAL if better is None else image_name(better)
