"""Where a text and the form that it was written from disagree, as `depictqa.parsing` reads the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datamodules.annotations import EQUAL, Annotation
from depictqa.parsing import ParsedFields, Preference, parse_description, parse_reasoning
from depictqa.questionnaire import FIELDS, Level, Questionnaire
from depictqa.sample import Slot

BETTER = "better"
CHECKED = (*FIELDS, "texture_damage", "overall", BETTER)
"""What can disagree, in the order in which it is told."""


@dataclass(frozen=True)
class Disagreement:
    """One field: what the form states and what the text says.

    `slot` is None for `better`, which is about the pair; `said` is None where the text leaves the field out.
    """

    field: str
    slot: Slot | None
    stated: str
    said: str | None

    def __str__(self) -> str:
        of = "" if self.slot is None else f" of Image {self.slot.upper()}"
        return f"{self.field}{of}: the form states {self.stated}, the text {self.said or 'nothing'}"

    def to_json(self) -> dict[str, str | None]:
        slot = None if self.slot is None else str(self.slot)
        return {"field": self.field, "slot": slot, "stated": self.stated, "said": self.said}

    @classmethod
    def from_json(cls, value: Any) -> Disagreement:
        """The inverse of `to_json`. ValueError for anything else."""
        if not isinstance(value, dict) or value.keys() != {"field", "slot", "stated", "said"}:
            raise ValueError(f"problem {value!r} is not field, slot, stated and said")
        if value["field"] not in CHECKED or value["slot"] not in (None, Slot.A, Slot.B):
            raise ValueError(f"problem {value!r} is about no known field or image")
        slot = None if value["slot"] is None else Slot(value["slot"])
        return cls(value["field"], slot, value["stated"], value["said"])


def disagreements(text: str, annotation: Annotation) -> tuple[Disagreement, ...]:
    """The fields that the text states otherwise than the form, or leaves out.

    A text need not speak of what is undistorted; what is distorted, the overall quality and the better image must
    be said. A form without a statement on texture damage leaves the text free. A pair without a better one is equal.
    """
    if not annotation.is_pair:
        ((slot, form),) = annotation.forms.items()
        return tuple(_of_form(parse_description(text), form, slot))
    parsed = parse_reasoning(text)
    of_forms = [one for slot in (Slot.A, Slot.B) for one in _of_form(parsed.fields(slot), annotation.forms[slot], slot)]
    return (*of_forms, *_of_preference(parsed.preference, annotation.better))


def _of_form(parsed: ParsedFields, form: Questionnaire, slot: Slot) -> Iterator[Disagreement]:
    for field in (*FIELDS, "texture_damage", "overall"):
        stated, said = getattr(form, field), getattr(parsed, field)
        free = stated is None or (said is None and stated == Level.UNDISTORTED)
        if not free and stated != said:
            yield Disagreement(field, slot, str(stated), None if said is None else str(said))


def _of_preference(parsed: Preference, better: Slot | None) -> Iterator[Disagreement]:
    stated = str(better or EQUAL)
    said = EQUAL if parsed.tie else None if parsed.better is None else str(parsed.better)
    if said != stated:
        yield Disagreement(BETTER, None, stated, said)
