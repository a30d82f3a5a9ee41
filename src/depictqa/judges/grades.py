"""A judge's reply -> its grades of 0 to 10.

Judges are told to begin with a line of grades, and many do otherwise. First come lines that hold grades and nothing
of their own beside them (`8 9`, `Assistant 1: 8/10, Assistant 2: 7`, a line for each), then sentences that name whose
grade a number is. A reply that leaves a doubt is not read: it is dropped and counted, which a wrong grade would not be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LOWEST, HIGHEST = 0.0, 10.0
NOT_FOUND = "the reply states no grade"
UNCLEAR = "the reply states different grades"
OUTSIDE = f"a grade is outside {LOWEST:g} to {HIGHEST:g}"

_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(r"[*`#>\[\]{}()\"“”]")
_WHOSE = r"(?:assistant|answer|response|candidate)s?(?:\s*(?:no\.?|number))?[\s-]*([12])\b(?:['’]s)?"
_PLACE = r"(?:the\s+)?(first|second)(?:\s+(?:assistant|answer|response|one))?(?:['’]s)?"
_LABEL = rf"(?:{_WHOSE}|{_PLACE})"
_OF_TEN = r"\s*(?:/\s*10|out\s+of\s+(?:10|ten))\b"
_NUMBER = r"(?<![\w.])(-?\d+(?:\.\d+)?)"
_GRADE = rf"{_NUMBER}(?:{_OF_TEN})?(?![\w%/])"
_FILLER = (
    r"(?:scores?|grades?|ratings?|marks?|verdict|result|consistency|final|overall|my|the|of|for|is|are|gets|and|vs"
    r"|points?|answer|assistant|response)\b"
)
_TOKEN = re.compile(rf"(?P<label>{_LABEL})|(?P<grade>{_GRADE})|{_FILLER}|[\s:;,.|=&–—-]", re.IGNORECASE)
_ENTRY = re.compile(r"\s*([12])[.:]\s+(?=\S)")
_BRACKET_ENTRY = re.compile(r"^(\s*[12])\)", re.MULTILINE)
_END = r"(?=\s*(?:[.,;:!?\n]|$|and\b|but\b|while\b|whereas\b|because\b|as\b|for\b|since\b|points?\b|to\b))"
_VERB = r"(?:scor|grad|rat|giv|get|earn|deserv|receiv|merit|award|assign)\w*"
_BETWEEN = rf"(?:\s*(?:an?|:|=|–|-|is|at|with)?\s*|[^\d\n.;]{{0,60}}?{_VERB}[^\d\n.;]{{0,20}}?)"
_OWN = re.compile(rf"{_LABEL}{_BETWEEN}(?:{_NUMBER}{_OF_TEN}|{_NUMBER}{_END})", re.IGNORECASE)
_TENTHS = re.compile(rf"{_NUMBER}{_OF_TEN}", re.IGNORECASE)
_ONE = re.compile(
    rf"\b(?:scor|grad|rat)(?:e|es|ed|ing)\b(?:\s+(?:is|of|it|this|that|as|at|the|answer|would|be|an?|with))*\s*[:=]?\s*"
    rf"{_NUMBER}{_END}",
    re.IGNORECASE,
)

Grades = tuple[float, ...]


def read_grades(text: str, count: int) -> tuple[Grades | None, str | None]:
    """(`count` grades, None), 1 or 2 of them in the order of the assistants; or (None, why not)."""
    plain = _BRACKET_ENTRY.sub(r"\1.", _THOUGHT.sub(" ", text))
    plain = _MARKUP.sub(" ", plain).replace("_", " ")
    found = list(_alone(plain, count)) or list(_in_sentences(plain, count))
    if not found:
        return None, NOT_FOUND
    if any(not LOWEST <= grade <= HIGHEST for grades in found for grade in grades):
        return None, OUTSIDE
    return (found[0], None) if len(set(found)) == 1 else (None, UNCLEAR)


def _alone(text: str, count: int) -> Iterator[Grades]:
    """Of lines that hold grades and nothing else, together where they follow each other."""
    for lines in _runs(text):
        whole = [grades for line in lines if (grades := _ordered(line, count)) is not None]
        together = _ordered([token for line in lines for token in line], count)
        yield from whole or ([together] if together is not None else [])


_Token = tuple[str, str]
"""(`label`, `1` or `2`) or (`grade`, a number)."""


def _runs(text: str) -> Iterator[list[list[_Token]]]:
    lines = [line for line in text.split("\n") if line.strip()]
    numbered = [match[1] for line in lines if (match := _ENTRY.match(line))] == ["1", "2"]
    run: list[list[_Token]] = []
    for line in lines:
        tokens = _tokens(_ENTRY.sub(r"assistant \1 ", line) if numbered else line)
        if tokens is None:
            if run:
                yield run
            run = []
        else:
            run.append(tokens)
    if run:
        yield run


def _tokens(line: str) -> list[_Token] | None:
    """None where the line has words of its own."""
    found: list[_Token] = []
    place = 0
    while place < len(line):
        match = _TOKEN.match(line, place)
        if match is None:
            return None
        if match["label"]:
            found.append(("label", _number(match["label"])))
        elif match["grade"]:
            found.append(("grade", re.match(r"-?[\d.]*\d", match["grade"])[0]))  # type: ignore[index]
        place = match.end()
    return found


def _ordered(tokens: Sequence[_Token], count: int) -> Grades | None:
    """By their labels where each grade has one before it, else as they come where none has."""
    grades = [float(value) for kind, value in tokens if kind == "grade"]
    labels = [value for kind, value in tokens if kind == "label"]
    if len(grades) != count:
        return None
    if not labels or count == 1:
        return tuple(grades)
    if [kind for kind, _ in tokens] == ["label", "grade"] * 2 and sorted(labels) == ["1", "2"]:
        return tuple(grade for _, grade in sorted(zip(labels, grades, strict=True)))
    return tuple(grades) if labels == ["1", "2"] and [kind for kind, _ in tokens][:2] == ["label"] * 2 else None


def _in_sentences(text: str, count: int) -> Iterator[Grades]:
    if count == 1:
        for pattern in (_TENTHS, _ONE):
            if found := [(float(match[1]),) for match in pattern.finditer(text)]:
                yield from found
                return
        return
    by_label: dict[str, set[float]] = {"1": set(), "2": set()}
    for match in _OWN.finditer(text):
        label, _, tenths, plain = match[1], match[2], match[3], match[4]
        by_label[label or _number(match[2])].add(float(tenths or plain))
    if all(by_label.values()):
        yield from ((first, second) for first in by_label["1"] for second in by_label["2"])


def _number(label: str) -> str:
    """`1` or `2`, however it is said."""
    return "2" if re.search(r"2|second", label, re.IGNORECASE) else "1"
