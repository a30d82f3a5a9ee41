"""A comparison's answer -> which image it finds better."""

from __future__ import annotations

import re
from dataclasses import dataclass

from depictqa.parsing.subjects import MARKER, mark_subjects
from depictqa.parsing.terms import find_marks
from depictqa.sample import Slot

MAX_BRIEF_WORDS = 6  # up to which an answer that names one image and says nothing of it is a choice


@dataclass(frozen=True)
class Preference:
    """`better` is the preferred image; else `tie`, or neither with the `reason` why nothing could be read."""

    better: Slot | None = None
    tie: bool = False
    reason: str | None = None

    @property
    def parsed(self) -> bool:
        """Whether the text takes a stand; a tie is one."""
        return self.better is not None or self.tie


_BRIEF = re.compile(
    r"\W*(?:(?:possibly|probably|maybe|perhaps|likely|definitely|clearly|undoubtedly|i (?:think|believe)|i(?:'d| would) say),? )?"
    r"(?:(?:the )?(?:final |correct )?(?:answer|conclusion|choice|winner)(?: is)?\W+)?(?:option |it is |it's )?"
    r"(?:(?:image |§)?(a|b|1|2)|(?:the )?(first|second|left|right)(?: one)?)\W*"
)
_TIE = re.compile(
    r"\bequal(?:ly)?\b|\b(?:the )?same (?:\w+ )?quality|\b(?:similar|comparable|identical) (?:in |\w+ )?quality|\ba? ?tie\b"
    r"|\bno (?:\w+ )?(?:difference|preference|winner)\b|\bindistinguishable|\bidentical\b"
    r"|\b(?:cannot|can't|unable to) (?:tell|see|notice|perceive|find) (?:the|any|a) difference\b"
    r"|§both (?:is|are|has|have|shows) no (?:\w+ )?(?:better|superior|best|preferred)|\bneither\b"
)
_GOOD = re.compile(
    r"\b(?:better|superior|prefer\w*|best|wins?|winner|choose|choice|favou?red|nicer|has the edge"
    r"|(?:higher|greater) (?:\w+ )?(?:quality|fidelity)|quality (?:\S+ ){0,4}(?:higher|greater)(?= than\b|\W*$)"
    r"|less (?:\w+ly )?(?:distorted|degraded|damaged|affected|severe)|closer to|more (?:similar|faithful)"
    r"|resembles (?:\w+ ){1,4}more|outperforms?|surpass\w*|exceeds|ahead of|(?:answer|option|pick|selection)(?::| is| would be))(?!\w)"
)
_BAD = re.compile(
    r"\b(?:worse|inferior|worst|poorer|loses?|(?:lower|lesser) (?:\w+ )?quality|quality (?:\S+ ){0,4}lower(?= than\b|\W*$)"
    r"|more (?:\w+ly )?(?:distorted|degraded|damaged|affected|severe\w*)|(?:not|n't)(?: \w+)? as good"
    r"|(?:deviates|differs) more|(?:further|farther) from)\b"
)
# One distortion compared: it decides only where nothing is said of quality as such.
_DEFECT = r"(?:nois\w+|blur\w*|grain\w*|artifacts?|distortions?|compress\w+|pixelat\w+)"
_MERIT = r"(?:details?|textures?|clarity|sharpness)"
_NOT_AS = r"(?:not|n't|nowhere near)(?: \w+)? as"
_CLEANER = re.compile(
    rf"\b(?:sharper|clearer|cleaner|crisper|(?:less|fewer) (?:\w+ )?{_DEFECT}|(?:more|finer|richer) (?:\w+ )?{_MERIT}"
    rf"|more (?:natural|pleasing|appealing|detailed|realistic)|{_NOT_AS} (?:blur|nois|grain|compress|distort|degrad|damag)\w+)\b"
)
_DIRTIER = re.compile(
    rf"\b(?:blurrier|noisier|grainier|more (?:\w+ )?{_DEFECT}|(?:less|fewer) (?:\w+ )?{_MERIT}"
    rf"|less (?:natural|pleasing|appealing|detailed|realistic)|{_NOT_AS} (?:sharp|clear|clean|crisp|detailed|natural)\b)\b"
)
_ALIKE = re.compile(
    r"(?:§both|\bthey|\bquality) (?:\S+ ){0,4}(?:the same|alike|similar|comparable)(?: to me| overall)?\W*$"
)
_NEGATED = re.compile(r"\b(?:not|never|no)(?: \w+)? $|\b(?:not|never) (?:think|believe|say)\b.*$")
_UNDECIDED = re.compile(
    r"\bwhether\b|\b(?:cannot|can't|unable to|not able to) (?:\w+ )?(?:say|tell|determine|decide|judge|see|view|compare)\b"
)
_CONCESSION = re.compile(r"(?:^|(?<=[.;!?] ))((?:even )?(?:although|though|while|whereas)\b[^,.;!?]*),")
_SENTENCE = re.compile(
    r"[.;!?]+(?:\s|$)|,? \b(?:but|while|whereas|although|so|therefore|thus|hence|however|because|since)\b,?"
)
_AGAINST = re.compile(
    r"\b(?:than|ahead of|exceeds|over|compared (?:to|with)|relative to|to|as)(?: that of| the quality of)?(?: the)? $"
)

_BY_QUALITY, _BY_DEFECT = (_GOOD, _BAD, _TIE), (_CLEANER, _DIRTIER, _ALIKE)


def parse_preference(text: str) -> Preference:
    """A, B, a tie, or none with the reason.

    The last clause that takes a stand on quality counts: it concludes. Without one, the bare choice with which an
    answer opens; without that, the last clause that compares a single distortion.
    """
    if not text.strip():
        return Preference(reason="the answer is empty")
    marked = mark_subjects(text)
    if whole := _BRIEF.fullmatch(marked):
        return Preference(better=_slot(whole.group(1) or whole.group(2)))
    clauses = [clause for clause in _SENTENCE.split(_CONCESSION.sub(r"\1;", marked)) if clause]
    for stand in (_concluded(clauses, *_BY_QUALITY), _opening(clauses), _concluded(clauses, *_BY_DEFECT)):
        if stand is not None:
            return stand
    named = {match.group(1) for match in MARKER.finditer(marked)} - {"both"}
    if len(named) == 1 and len(marked.split()) <= MAX_BRIEF_WORDS and not find_marks(marked):
        return Preference(better=_slot(named.pop()))
    if not named:
        return Preference(reason="the answer names neither image")
    return Preference(reason="the answer names an image but states no preference")


def _concluded(
    clauses: list[str], good: re.Pattern[str], bad: re.Pattern[str], tie: re.Pattern[str]
) -> Preference | None:
    stands = [stand for clause in clauses if (stand := _stand(clause, good, bad, tie)) is not None]
    return stands[-1] if stands else None


def _opening(clauses: list[str]) -> Preference | None:
    """`Image B. It is ...`, unless the other image stands alone too: then both are headings."""
    bare = [found.group(1) for clause in clauses if (found := _BRIEF.fullmatch(clause)) and "§" in clause]
    first = _BRIEF.fullmatch(clauses[0]) if clauses else None
    return Preference(better=_slot(bare[0])) if first and len(set(bare)) == 1 else None


def _stand(
    clause: str, good_words: re.Pattern[str], bad_words: re.Pattern[str], tie: re.Pattern[str]
) -> Preference | None:
    if tie.search(clause):
        return Preference(tie=True)
    good, bad = good_words.search(clause), bad_words.search(clause)
    word = bad or good
    if word is None or _UNDECIDED.search(clause):
        return None
    markers = [m for m in MARKER.finditer(clause) if m.group(1) != "both"]
    if not markers:
        return None
    subjects = [m for m in markers if not _AGAINST.search(clause[: m.start()])]
    slot = _slot((subjects or markers)[0].group(1))
    favours = (word is good) != (not subjects)
    if _NEGATED.search(clause[: word.start()]) and word is good:
        favours = not favours
    return Preference(better=slot if favours else _other(slot))


def _slot(name: str) -> Slot:
    return Slot.A if name in ("a", "1", "first", "left") else Slot.B


def _other(slot: Slot) -> Slot:
    return Slot.B if slot is Slot.A else Slot.A
