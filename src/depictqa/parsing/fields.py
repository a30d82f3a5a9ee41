"""Free text about one image -> the questionnaire fields that it states. No judge, no model: words and their order.

A clause is read as a row of marks (terms and degrees). A degree right before a term belongs to it (`severe
blur`, `no visible noise`) and passes along a list (`no noise, blur or artifacts`); a degree after a list and
its verb belongs to the whole list (`brightness, color and noise are fine`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from depictqa.parsing.terms import LESS, MILD, NONE, SEVERE, Mark, find_marks, normalise
from depictqa.questionnaire import FIELD_OF, FIELDS, Level, Overall

_LEVELS = {NONE: Level.UNDISTORTED, MILD: Level.MILD, SEVERE: Level.SEVERE}
_OVERALL = {NONE: Overall.NEARLY_UNDISTORTED, MILD: Overall.MILD, SEVERE: Overall.SEVERE}
_STRENGTH = (NONE, MILD, SEVERE)

_FILLER = (
    r"(?:(?:an?|the|any|of|from|in|to|with|by|amounts?|degree|levels?|kind|signs?|traces?|visible|visibly|noticeable"
    r"|notable|apparent|image|been|it|its|gaussian|motion|lens|white|random|digital|wrong|unwanted|resulting"
    r"|affected|degraded|distorted|corrupted|damaged|impaired|off|changed|altered|shifted|terms|due|distortions?"
    r"|lossy|strengthened|weakened|increased|reduced|lost|loss|or|kinds?|additional|further|obvious|problems?|issues?) ?)*"
)
_BEFORE_TERM = re.compile(_FILLER)
_JOINER = re.compile(r"\s*(?:,|and|or|nor|as well as|/|&|the|its|image|,? ?and the|of|,? ?plus|both)*\s*")
_JOIN = re.compile(r"^(?:[\s,/&]|\b(?:and|or|nor|as well as|the|its|plus|also|any|with|in)\b)*$")
_BARE_JOIN = re.compile(r"^(?:[\s/&]|\b(?:or|nor|the|its|any)\b)*$")
_VERB = re.compile(
    r"^\s*,?\s*(?:in |of )?(?:(?:both|the|this|images?|§\w+|picture)\s*)*"
    r"\b(?:is|are|was|were|be|been|looks?|appears?|seems?|remains?|stays?|has|have|shows?|at|kept)\b"
)
_PARTICIPLE = re.compile(r"^\s*(?:affected|degraded|distorted|corrupted|damaged|impaired|changed|altered|off|lost)\b")


@dataclass(frozen=True)
class ParsedFields:
    """What a text states about one image; None is `not stated in a way we understand`.

    `classes` are the distortion classes named as present: an empty set when the text says that there is
    none, None when it speaks of no distortion at all.
    """

    brightness: Level | None = None
    color: Level | None = None
    noise: Level | None = None
    artifacts: Level | None = None
    blur: Level | None = None
    overall: Overall | None = None
    texture_damage: Level | None = None
    classes: frozenset[str] | None = None

    def level(self, field: str) -> Level | None:
        """The level of one of the five distortion fields."""
        assert field in FIELDS, field
        return getattr(self, field)


@dataclass
class Statements:
    """What has been read so far about one image: degrees by class and field name, None where bare."""

    said: dict[str, list[str | None]] = field(default_factory=dict)

    def add(self, name: str, degree: str | None) -> None:
        if degree != LESS:
            self.said.setdefault(name, []).append(degree)

    def resolve(self) -> ParsedFields:
        """Settle repeats and contradictions: the strongest degree stands, `none` yields to a bare mention."""
        degrees = {name: _strongest(said) for name, said in self.said.items()}
        present = frozenset(
            name for name, said in self.said.items() if name in FIELD_OF and any(d != NONE for d in said)
        )
        levels: dict[str, list[str | None]] = {name: [] for name in FIELDS}
        for name, said in self.said.items():
            if name in FIELD_OF:
                levels[FIELD_OF[name]].append(degrees[name])
            elif name in FIELDS:
                levels[name] += [d for d in said if d is not None]
        remainder = NONE if NONE in (degrees.get("rest"), degrees.get("all")) else None
        settled = {name: _strongest(said) if said else remainder for name, said in levels.items()}
        states_something = bool(present) or any(settled.values())
        return ParsedFields(
            **{name: _LEVELS[d] if d else None for name, d in settled.items()},
            overall=_OVERALL.get(degrees.get("overall") or ""),
            texture_damage=_LEVELS.get(degrees.get("texture") or ""),
            classes=present if states_something else None,
        )


def _strongest(said: Sequence[str | None]) -> str | None:
    known = [degree for degree in said if degree is not None]
    if not known:
        return None
    strongest = max(known, key=_STRENGTH.index)
    return None if strongest == NONE and None in said else strongest


def parse_description(text: str) -> ParsedFields:
    """The fields that a description of one image states."""
    statements = Statements()
    for sentence in sentences(normalise(text)):
        for name, degree in read_clause(sentence):
            statements.add(name, degree)
    return statements.resolve()


def sentences(text: str) -> list[str]:
    """Split a normalised text at stops, semicolons, line ends and contrasting conjunctions."""
    parts = re.split(r"(?<=[a-z\]])[.;:!?]+(?:\s|$)|,? (?:but|while|whereas|although|though|however|yet)\b,? ?", text)
    return [part for part in (p.strip(" ,.;") for p in parts) if part]


def read_clause(clause: str, topic: Sequence[str] = ()) -> list[tuple[str, str | None]]:
    """(class or field, degree) pairs of a clause; `topic` are the terms of a clause that this one leaves out."""
    clause = re.sub(r"\b(?:than|compared (?:to|with)|unlike|relative to)\b[^,;.]*", "", clause)
    marks = find_marks(clause)
    terms = [mark for mark in marks if mark.kind != "degree"]
    if any(term.name == "overall" for term in terms):
        # `overall, no distortion` and `nearly undistorted overall` speak of the image as a whole.
        marks = [mark for mark in marks if mark.name != "all"]
        terms = [term for term in terms if term.name != "all"]
    degrees = [mark for mark in marks if mark.kind == "degree" and mark.name != LESS]
    if not terms:
        if topic and degrees:
            return [(name, degrees[0].name) for name in topic]
        whole = degrees and re.search(r"\b(?:undistorted|pristine|flawless|perfect|clean)\b", clause)
        return [("all", NONE)] if whole and degrees[0].name == NONE else []
    return [pair for run in _runs(clause, marks) for pair in _read_run(clause, marks, run)]


def _runs(clause: str, marks: list[Mark]) -> list[list[Mark]]:
    """Group terms into lists: neighbours with nothing but joiners (and their own degrees) between them."""
    runs: list[list[Mark]] = []
    previous: Mark | None = None
    for mark in marks:
        gap = clause[previous.end : mark.start] if previous else ""
        linked = previous is not None and previous.kind != "degree" and _JOIN.match(gap)
        if mark.kind == "degree":
            # `noise and slight blur`: the degree opens the next item; it is linked through its own term.
            previous = mark
            continue
        if runs and linked:
            runs[-1].append(mark)
        else:
            runs.append([mark])
        previous = mark
    return runs


def _read_run(clause: str, marks: list[Mark], run: list[Mark]) -> list[tuple[str, str | None]]:
    before = _degree_before(clause, marks, run[0])
    after = _degree_after(clause, marks, run[-1])
    verb = _VERB.match(clause[run[-1].end :]) is not None
    pairs: list[tuple[str, str | None]] = []
    for position, term in enumerate(run):
        own = term.degree or (before if position == 0 else None)
        if own is not None and position == 0 and term.degree is None and len(run) > 1:
            # `severe noise, and color is off`: a verb after the list starts a new statement for what follows
            pass
        shared = after if verb or before is None else before
        degree = own if own is not None else (shared if shared is not None else before)
        pairs.append((term.name, degree))
    return pairs


def _degree_before(clause: str, marks: list[Mark], term: Mark) -> str | None:
    previous = [mark for mark in marks if mark.end <= term.start]
    if not previous or previous[-1].kind != "degree":
        return None
    gap = clause[previous[-1].end : term.start].strip()
    return previous[-1].name if _BEFORE_TERM.fullmatch(gap + " " if gap else "") else None


def _degree_after(clause: str, marks: list[Mark], term: Mark) -> str | None:
    following = [mark for mark in marks if mark.start >= term.end]
    if not following or following[0].kind != "degree":
        return None
    degree = following[0]
    if "," in clause[term.end : degree.start] and term.name != "overall":
        return None
    after = [mark for mark in following[1:] if mark.kind != "degree"]
    if after and _degree_before(clause, marks, after[0]) == degree.name and following[1] is after[0]:
        # The degree belongs to the next term, unless it ends its own verb: `is severely damaged by noise`.
        if not _PARTICIPLE.match(clause[degree.end :]):
            return None
    return degree.name
