"""What a judge is asked about a text, and how its grades count: the scores of DepictQA-v1 and v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from depictqa.evaluation.judgements import RELATIVE
from depictqa.evaluation.result import Result
from depictqa.judges.grades import HIGHEST, Grades
from depictqa.prompt import NAMES, PLAIN_NAME, without_marker
from depictqa.questionnaire import Questionnaire, form_in_words
from depictqa.sample import Slot

UNKNOWN = "Nothing beyond the question."


class JudgeProtocol(Protocol):
    """`num_grades` are read from a reply; `has_orders` where two texts can change places in what is asked."""

    name: str
    num_grades: int
    has_orders: bool

    def values(self, result: Result, exchanged: bool) -> Mapping[str, str]:
        """By the placeholders of the prompt."""
        ...

    def grades(self, replied: Grades, exchanged: bool) -> Grades:
        """In an order that does not depend on how the texts stood."""
        ...

    def score(self, grades: Grades) -> float:
        """In 0..1."""
        ...


class Relative:
    """v1: the person's text is Assistant 1, the model's is Assistant 2, the questionnaire stands before them.

    min(model's / person's, 1). A model's grade that is no lower than the person's counts 1, so also where the person's
    is 0.
    """

    name = RELATIVE
    num_grades = 2
    has_orders = True

    def values(self, result: Result, exchanged: bool = False) -> Mapping[str, str]:
        first, second = result.target, result.prediction
        if exchanged:
            first, second = second, first
        question = without_marker(result.question)
        return {"context": context(result), "question": question, "first": first, "second": second}

    def grades(self, replied: Grades, exchanged: bool = False) -> Grades:
        """(person's, model's)"""
        first, second = replied
        return (second, first) if exchanged else (first, second)

    def score(self, grades: Grades) -> float:
        person, model = grades
        return 1.0 if model >= person else model / person


class Consistency:
    """v2: one grade of how far the model's text agrees with the true one, a tenth of it."""

    name = "consistency"
    num_grades = 1
    has_orders = False

    def values(self, result: Result, exchanged: bool = False) -> Mapping[str, str]:
        question = without_marker(result.question)
        return {"question": question, "target": result.target, "prediction": result.prediction}

    def grades(self, replied: Grades, exchanged: bool = False) -> Grades:
        return replied

    def score(self, grades: Grades) -> float:
        return grades[0] / HIGHEST


def context(result: Result) -> str:
    """The questionnaires, or where there are none the known distortions, image by image; and which one is better."""
    forms, distortions = result.truth.get("questionnaires", {}), result.truth.get("distortions", {})
    parts = {slot: form_in_words(Questionnaire.from_dict(form)) for slot, form in forms.items()}
    for slot, known in distortions.items() if not forms else ():
        listed = [f"- {one['name'].replace('_', ' ')}, severity {one['severity']} of 5" for one in known]
        parts[slot] = "\n".join(listed) or "- no distortion"
    alone = len(parts) == 1
    blocks = [f"{PLAIN_NAME if alone else NAMES[Slot(slot)]}:\n{text}" for slot, text in parts.items()]
    if better := result.truth.get("better"):
        blocks.append(f"The better image: {NAMES[Slot(better)]}")
    return "\n\n".join(blocks) or UNKNOWN
