"""Free text -> the questionnaire fields that it states, for one image or for A and B. No judge, no model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from depictqa.parsing.clauses import Statement, read_clause
from depictqa.parsing.preference import Preference, parse_preference
from depictqa.parsing.subjects import mark_subjects, split_sentences, subject
from depictqa.parsing.terms import LESS, MILD, NONE, SEVERE, normalise
from depictqa.questionnaire import FIELD_OF, FIELDS, Level, Overall
from depictqa.sample import Slot

_LEVELS = {NONE: Level.UNDISTORTED, MILD: Level.MILD, SEVERE: Level.SEVERE}
_OVERALL = {NONE: Overall.NEARLY_UNDISTORTED, MILD: Overall.MILD, SEVERE: Overall.SEVERE}
_STRENGTH = (NONE, MILD, SEVERE)
_VERDICT = re.compile(r"\b(?:better|worse|prefer\w*|superior|inferior|wins?|best|worst|(?:higher|lower) quality)\b")


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


@dataclass(frozen=True)
class ParsedReasoning:
    """The fields of both images and the conclusion."""

    a: ParsedFields
    b: ParsedFields
    preference: Preference

    def fields(self, slot: Slot) -> ParsedFields:
        return {Slot.A: self.a, Slot.B: self.b}[slot]


def parse_description(text: str) -> ParsedFields:
    """The fields that a description of one image states."""
    notes = _Notes()
    for clauses in split_sentences(normalise(re.sub(r"\s*\n+\s*", ". ", text.strip()))):
        topic: Sequence[str] = ()
        for clause in clauses:
            statements = read_clause(clause, topic)
            notes.add(statements)
            topic = [name for name, _ in statements] or topic
    return notes.settle()


def parse_reasoning(text: str) -> ParsedReasoning:
    """The fields that a comparison states about A and about B, and which it finds better."""
    notes = {"a": _Notes(), "b": _Notes()}
    about: str | None = None
    for clauses in split_sentences(mark_subjects(text)):
        topic: Sequence[str] = ()
        for clause in clauses:
            about = subject(clause) or about
            if _VERDICT.search(clause):
                continue
            statements = read_clause(clause, topic)
            topic = [name for name, _ in statements] or topic
            for name in ("a", "b") if about == "both" else (about,) if about else ():
                notes[name].add(statements)
    return ParsedReasoning(notes["a"].settle(), notes["b"].settle(), parse_preference(text))


@dataclass
class _Notes:
    """What has been read so far about one image: degrees by class or field name, None where bare."""

    said: dict[str, list[str | None]] = field(default_factory=dict)

    def add(self, statements: Sequence[Statement]) -> None:
        for name, degree in statements:
            if degree != LESS:
                self.said.setdefault(name, []).append(degree)

    def settle(self) -> ParsedFields:
        """Settle repeats and contradictions: the strongest degree stands, `none` yields to a bare mention."""
        present = [name for name, said in self.said.items() if name in FIELD_OF and set(said) != {NONE}]
        levels = {name: self._level(name) for name in FIELDS}
        stated = bool(present) or any(level is not None for level in levels.values())
        return ParsedFields(
            **levels,
            overall=_OVERALL.get(_strongest(self._degrees("overall"))),
            texture_damage=_LEVELS.get(_strongest(self._degrees("texture"))),
            classes=frozenset(present) if stated else None,
        )

    def _degrees(self, name: str) -> list[str | None]:
        """The degrees given to a field; a bare field name (`in terms of color`) states nothing."""
        return [degree for degree in self.said.get(name, []) if degree is not None]

    def _level(self, name: str) -> Level | None:
        # A bare class (`it is blurry`), unlike a bare field name, says that something is there.
        said = self._degrees(name) if name not in FIELD_OF else []
        for term, degrees in self.said.items():
            said += degrees if FIELD_OF.get(term) == name else []
        if not said and NONE in (*self.said.get("rest", []), *self.said.get("all", [])):
            return Level.UNDISTORTED
        return _LEVELS.get(_strongest(said))


def _strongest(said: Sequence[str | None]) -> str:
    known = [degree for degree in said if degree is not None]
    strongest = max(known, key=_STRENGTH.index) if known else ""
    return "" if strongest == NONE and None in said else strongest
