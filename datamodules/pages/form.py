"""The questions of a form, and what was answered to them as an annotation.

Answers travel as plain text by question: `{"a.noise": "mild", ..., "better.noise": "equal", "better.overall": "b"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datamodules.annotations import EQUAL, FACTORS, Annotation, from_json, to_json
from datamodules.pages.items import Item
from depictqa.questionnaire import FIELDS, TEXTURES, Level, Overall
from depictqa.sample import Slot

ROWS = ("texture", "texture_damage", *FIELDS, "overall")
"""The form from top to bottom."""

BETTER = "better"


@dataclass(frozen=True)
class Question:
    """One cell of the form. `choices` are (key on the keyboard, value, words); those of a long list have no key."""

    row: str
    column: str
    label: str
    choices: tuple[tuple[str, str, str], ...]

    @property
    def name(self) -> str:
        return f"{self.column}.{self.row}"


class Unanswered(ValueError):
    """A question that the form leaves open: nothing is to be saved."""

    def __init__(self, question: Question) -> None:
        super().__init__(f"{question.label} is not answered")
        self.question = question


def questions(item: Item) -> list[Question]:
    """Row by row, which is the order in which the keyboard walks through them."""
    is_pair = len(item.assessed) == 2
    return [_question(row, column, is_pair) for row in ROWS for column in columns(item) if asked(row, column)]


def columns(item: Item) -> list[str]:
    """The assessed images and, for a pair, which is better."""
    return [str(slot) for slot in item.assessed] + ([BETTER] if len(item.assessed) == 2 else [])


def asked(row: str, column: str) -> bool:
    """No image is better in its kind of texture."""
    return not (row == "texture" and column == BETTER)


def words(row: str) -> str:
    """A row's heading."""
    return {"texture": "texture category"}.get(row, row.replace("_", " "))


def annotation_of(item: Item, annotator: str, answers: Mapping[str, str]) -> Annotation:
    """Unanswered for the first question without an answer, ValueError for an answer that is none of its choices."""
    for question in questions(item):
        if not answers.get(question.name):
            raise Unanswered(question)
        if answers[question.name] not in [value for _, value, _ in question.choices]:
            raise ValueError(f"{question.label} is {answers[question.name]!r}, which is no choice")
    value = {
        "key": item.key,
        "annotator": annotator,
        "images": {str(slot): path for slot, path in item.images.items()},
        "forms": {str(slot): {row: answers[f"{slot}.{row}"] for row in ROWS} for slot in item.assessed},
    }
    if len(item.assessed) == 2:
        value["better"] = answers[f"{BETTER}.overall"]
        value["better_by_field"] = {row: answers[f"{BETTER}.{row}"] for row in FACTORS}
    return from_json(value, f"item '{item.key}'")


def answers_of(annotation: Annotation) -> dict[str, str]:
    """The inverse of `annotation_of`."""
    value = to_json(annotation)
    answers = {f"{slot}.{row}": stated for slot, form in value["forms"].items() for row, stated in form.items()}
    answers |= {f"{BETTER}.{row}": stated for row, stated in value.get("better_by_field", {}).items()}
    if "better" in value:
        answers[f"{BETTER}.overall"] = value["better"]
    return answers


def _question(row: str, column: str, is_pair: bool) -> Question:
    if column == BETTER:
        label = "which image is better overall" if row == "overall" else f"which image is better in {words(row)}"
        sides = (("1", str(Slot.A), "A"), ("2", EQUAL, "equal"), ("3", str(Slot.B), "B"))
        return Question(row, column, label, sides[::2] if row == "overall" else sides)
    label = f"{words(row)} of image {column.upper()}" if is_pair else words(row)
    if row == "texture":
        return Question(row, column, label, tuple(("", texture, texture) for texture in TEXTURES))
    levels = Overall if row == "overall" else Level
    return Question(row, column, label, tuple((str(n), str(v), str(v)) for n, v in enumerate(levels, start=1)))
