"""Where a text says something else than the questionnaire that it was written from."""

from __future__ import annotations

from dataclasses import dataclass

from datamodules.annotations import EQUAL, Annotation
from depictqa.parsing import ParsedFields, parse_description, parse_reasoning
from depictqa.questionnaire import FIELDS
from depictqa.sample import Slot

ASKED = (*FIELDS, "overall", "texture_damage")


@dataclass(frozen=True)
class Disagreement:
    """`stated` by the form and `said` by the text (None: nothing) of a field; of `better`, which has no slot."""

    field: str
    slot: Slot | None
    stated: str | None
    said: str | None


def disagreements(text: str, annotation: Annotation) -> tuple[Disagreement, ...]:
    """The fields that the parser reads otherwise in `text` than they stand in the form, in the form's order."""
    if not annotation.is_pair:
        return tuple(_of_image(parse_description(text), next(iter(annotation.forms)), annotation))
    parsed = parse_reasoning(text)
    found = [one for slot in (Slot.A, Slot.B) for one in _of_image(parsed.fields(slot), slot, annotation)]
    said = EQUAL if parsed.preference.tie else parsed.preference.better
    if annotation.better is not None and said != annotation.better:
        found.append(Disagreement("better", None, str(annotation.better), None if said is None else str(said)))
    return tuple(found)


def _of_image(parsed: ParsedFields, slot: Slot, annotation: Annotation) -> list[Disagreement]:
    form = annotation.forms[slot].to_dict()
    said = {name: getattr(parsed, name) for name in ASKED if form.get(name) is not None}
    return [
        Disagreement(name, slot, form[name], None if level is None else str(level))
        for name, level in said.items()
        if level != form[name]
    ]
