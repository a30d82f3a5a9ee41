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
    r"\W*(?:(?:the )?(?:final |correct )?(?:answer|conclusion|choice|winner)(?: is)?\W+)?(?:option |it is |it's )?"
    r"(?:image |§)?(a|b)\W*"
)
_TIE = re.compile(
    r"\bequal(?:ly)?\b|\b(?:the )?same (?:\w+ )?quality|\b(?:similar|comparable|identical) (?:in |\w+ )?quality|\ba? ?tie\b"
    r"|\bno (?:\w+ )?(?:difference|preference|winner)\b|\bindistinguishable|\bidentical\b"
    r"|§both (?:is|are|has|have|shows) no (?:\w+ )?(?:better|superior|best|preferred)|\bneither\b"
)
_GOOD = re.compile(
    r"\b(?:better|superior|prefer\w*|best|wins?|winner|choose|choice|favou?red|nicer|(?:higher|greater) (?:\w+ )?quality"
    r"|less (?:\w+ly )?(?:distorted|degraded|damaged|affected|severe)|closer to|more faithful)\b"
)
_BAD = re.compile(
    r"\b(?:worse|inferior|worst|poorer|loses?|(?:lower|lesser) (?:\w+ )?quality|more (?:\w+ly )?"
    r"(?:distorted|degraded|damaged|affected|severe\w*)|(?:not|n't) as good)\b"
)
# One distortion compared: it decides only where nothing is said of quality as such.
_DEFECT = r"(?:nois\w+|blur\w*|grain\w*|artifacts?|distortions?|compress\w+|pixelat\w+)"
_CLEANER = re.compile(rf"\b(?:sharper|clearer|cleaner|crisper|(?:less|fewer) (?:\w+ )?{_DEFECT})\b")
_DIRTIER = re.compile(rf"\b(?:blurrier|noisier|grainier|more (?:\w+ )?{_DEFECT})\b")
_NEGATED = re.compile(r"\b(?:not|never|no)(?: \w+)? $")
_SENTENCE = re.compile(
    r"[.;!?]+(?:\s|$)|,? \b(?:but|while|whereas|although|so|therefore|thus|hence|however|because|since)\b,?"
)
_AGAINST = re.compile(r"\b(?:than|over|compared (?:to|with)|relative to|to|as)(?: that of)?(?: the)? $")


def parse_preference(text: str) -> Preference:
    """A, B, a tie, or none with the reason. The last clause that takes a stand counts: it concludes."""
    if not text.strip():
        return Preference(reason="the answer is empty")
    marked = mark_subjects(text)
    brief = _BRIEF.fullmatch(marked)
    if brief:
        return Preference(better=Slot(brief.group(1)))
    clauses = [clause for clause in _SENTENCE.split(marked) if clause]
    for good, bad in ((_GOOD, _BAD), (_CLEANER, _DIRTIER)):
        stands = [stand for clause in clauses if (stand := _stand(clause, good, bad)) is not None]
        if stands:
            return stands[-1]
    named = {match.group(1) for match in MARKER.finditer(marked)} - {"both"}
    if len(named) == 1 and len(marked.split()) <= MAX_BRIEF_WORDS and not find_marks(marked):
        return Preference(better=Slot(named.pop()))
    if not named:
        return Preference(reason="the answer names neither image")
    return Preference(reason="the answer names an image but states no preference")


def _stand(clause: str, good_words: re.Pattern[str], bad_words: re.Pattern[str]) -> Preference | None:
    if _TIE.search(clause):
        return Preference(tie=True)
    good, bad = good_words.search(clause), bad_words.search(clause)
    word = bad or good
    if word is None:
        return None
    markers = [m for m in MARKER.finditer(clause) if m.group(1) != "both"]
    if not markers:
        return None
    subjects = [m for m in markers if not _AGAINST.search(clause[: m.start()])]
    slot = Slot((subjects or markers)[0].group(1))
    favours = (word is good) != (not subjects)
    if _NEGATED.search(clause[: word.start()]) and word is good:
        favours = not favours
    return Preference(better=slot if favours else _other(slot))


def _other(slot: Slot) -> Slot:
    return Slot.B if slot is Slot.A else Slot.A
