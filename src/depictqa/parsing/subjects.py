"""Which of the two images a piece of text speaks of: `§a`, `§b`, `§both` stand for the names."""

from __future__ import annotations

import re
from functools import lru_cache

from depictqa.parsing.clauses import drop_comparisons
from depictqa.parsing.terms import normalise

_BOTH = re.compile(
    r"(?:\b[Bb]oth )?\b(?:[Ii]mages? )?A and (?:[Ii]mage )?B\b|\b(?:[Bb]oth|[Tt]he two|[Tt]wo|[Ee]ither|[Ee]ach|[Aa]ll)"
    r" (?:of the |the )?(?:images?|pictures?|photos?|of them)\b|\b[Bb]oth(?= (?:are|have|show|suffer|look|remain|share|were)\b"
    r"|[.,;!?]|$)"
)
_NEITHER = re.compile(
    r"\b[Nn]either (?:of them |image |picture |of the (?:two )?images? )?(is|are|has|have|shows|suffers from)\b"
)


def _name(letter: str, number: str, ordinal: str, side: str, turn: str) -> re.Pattern[str]:
    """`Image A`, `image #1`, `the first image`, `the one on the left`, `the former`, or a lone capital where it cannot
    be an article: before a verb or punctuation, or behind a word such as `than`.
    """
    noun = r"(?:image|picture|photo|one|option)"
    verb = r"(?:is|has|shows|looks|suffers|exhibits|appears|remains|contains|was|wins|over|better than)"
    digit, word = number.split("|")
    return re.compile(
        rf"\b(?:the )?(?i:image|picture|photo|option)[ -]#?(?:{letter}|{digit})\b(?!\.\d)"
        rf"|\b(?:the )?(?i:image|picture|photo|option) {word}(?= {verb}\b|[.,;:!?]|$)"
        rf"|\b(?:[Tt]he )?(?:{ordinal}|{side})[ -]{noun}\b|\b(?:[Tt]he )?{noun} on the {side}\b"
        rf"|\b[Oo]n the {side}, the {noun}\b|\b[Tt]he {turn}(?: {noun})?\b"
        rf"|\b{letter}(?=['’]s\b| {verb}\b)"
        rf"|(?<![\w.'’-]){letter}(?=[,;:!?)\]}}<]| - |\.?\s*$|\.\s)"
        rf"|\b(?i:image) {letter.lower()}(?=['’]s\b|[.,;:!?)]|$| {verb}\b)|(?<=: ){letter.lower()}(?=[,)\]}}]|$)"
        rf"|(?:(?<=\bof )|(?<=\bin )){letter}(?= (?:and|is|are|was|but|while|or|to)\b)"
        rf"|(?:(?<=\bthan )|(?<=\bover )|(?<=\bprefer )|(?<=\bchoose )|(?<=\bpick )){letter}\b"
    )


_A = _name("A", "1|one", "[Ff]irst", "[Ll]eft", "former")
_B = _name("B", "2|two", "[Ss]econd", "[Rr]ight", "latter")

_STOP = re.compile(r"[.;!?]+(?=\s|$)")
_CONJUNCTION = re.compile(
    r",? \b(?:but|while|whereas|although|though|however|yet|so|therefore|thus|hence|because|since|making)\b,?"
    r"|^(?:so|therefore|thus|hence|however|while|whereas|although)\b,?"
)
_BARRIER = re.compile(r",? and |, ")
MARKER = re.compile(r"§(a|b|both)\b")


@lru_cache(maxsize=1024)  # fields and preference of a text are read in turn
def mark_subjects(text: str) -> str:
    """Normalised text with the images' names replaced by markers."""
    text = re.sub(r"\s*\n+\s*", ". ", text.strip())
    text = re.sub(r"[*`\"“”]", "", text).replace("_", " ")
    text = _NEITHER.sub(r"§both \1 no", _BOTH.sub("§both", text))
    return normalise(_B.sub("§b", _A.sub("§a", text)))


def split_sentences(text: str) -> list[list[str]]:
    """Sentences of a normalised text, each a list of clauses cut at contrasts, consequences and changes of subject."""
    sentences = []
    for sentence in _STOP.split(text):
        clauses = [part.strip(" ,-") for part in _CONJUNCTION.split(drop_comparisons(sentence.strip()))]
        split = [piece for clause in clauses if clause for piece in _split_by_subject(clause)]
        if split:
            sentences.append(split)
    return sentences


def subject(clause: str) -> str | None:
    """`a`, `b`, `both`, or None where the clause names no image."""
    match = MARKER.search(clause)
    return match.group(1) if match else None


def _split_by_subject(clause: str) -> list[str]:
    """Cut before each change of subject, at the last `and` or comma in between."""
    markers = list(MARKER.finditer(clause))
    pieces, start = [], 0
    for left, right in zip(markers, markers[1:], strict=False):
        barriers = list(_BARRIER.finditer(clause, left.end(), right.start()))
        if left.group(1) != right.group(1) and barriers:
            pieces.append(clause[start : barriers[-1].start()])
            start = barriers[-1].end()
    pieces.append(clause[start:])
    return [piece.strip(" ,") for piece in pieces if piece.strip(" ,")]
