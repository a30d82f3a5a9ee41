"""Judge-free reading of answers: any model's text -> questionnaire fields, distortion classes, A or B."""

from depictqa.parsing.fields import ParsedFields, ParsedReasoning, parse_description, parse_reasoning
from depictqa.parsing.preference import Preference, parse_preference

__all__ = [
    "ParsedFields",
    "ParsedReasoning",
    "Preference",
    "parse_description",
    "parse_preference",
    "parse_reasoning",
]
