"""The vocabulary of image quality: which words name a distortion, a field, or how strong something is.

Everything is matched on normalised text (`normalise`). The order of the patterns is the order in which
they are tried at a place, so compound terms (`contrast is too high`) stand before their parts (`contrast`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

NONE, MILD, SEVERE, LESS = "none", "mild", "severe", "less"
"""Degrees of a statement; `LESS` is a comparative, which says nothing absolute."""

_RAISED = (
    r"(?:strengthen\w*|increas\w*|boost\w*|enhanc\w*|exaggerat\w*|rais\w*|excess\w*|too (?:high|strong|much)"
    r"|high(?:er)?|strong(?:er)?|more)"
)
_LOWERED = (
    r"(?:weaken\w*|decreas\w*|reduc\w*|lower\w*|too (?:low|weak)|low|weak(?:er)?|los[st]|loss|lacking"
    r"|insufficient|less)"
)
_ADVERB = r"(?:(?:a (?:little|bit)|not|very|too|quite|\w+ly) ){0,2}"  # `contrast is (very slightly) strengthened`
_LINK = r"(?:(?:level|is|are|was|were|has been|have been|looks?|appears?|seems?) ){0,2}"


def _changed(noun: str, how: str) -> str:
    """`noun is (slightly) raised`, `raised noun`, `strengthening of the noun`."""
    return rf"{noun} {_LINK}{_ADVERB}{how}\b|\b{how}(?: in| of)?(?: the)? {noun}"


_CLASSES: tuple[tuple[str, str], ...] = (
    ("contrast_strengthen", _changed(r"contrast", _RAISED)),
    ("contrast_weaken", _changed(r"contrast", _LOWERED) + r"|\bwashed out\b|\bflat contrast"),
    (
        "saturate_strengthen",
        r"\b(?:over |hyper )saturat\w+|"
        + _changed(r"(?:color )?saturation", _RAISED)
        + r"|\b(?:too|overly) (?:vivid|saturated|vibrant|colorful)",
    ),
    (
        "saturate_weaken",
        r"\b(?:de|under )saturat\w+|"
        + _changed(r"(?:color )?saturation", _LOWERED)
        + r"|\b(?:faded|dull|muted|pale) colors?|\bcolors? (?:is|are|look|looks|appear) "
        + _ADVERB
        + r"(?:faded|dull|muted|pale)|\bfaded\b",
    ),
    (
        "oversharpen",
        r"\bover sharpen\w*|\b(?:excessive(?:ly)?|too much) sharpen\w*|\btoo sharp\b|\bsharpen\w+",
    ),
    ("pixelate", r"\bpixel(?:at|is|iz)\w+|\bmosaic\w*"),
    ("quantization", r"\bquanti[sz]\w+|\bposteri[sz]\w+|\b(?:color )?banding|\btoo few colors"),
    (
        "compression",
        r"\bcompress\w+(?: artifacts?)?|\bjpeg(?: 2000)?(?: compression)?(?: artifacts?)?"
        r"|\bblock(?:ing|iness|y)\b(?: artifacts?)?",
    ),
    (
        "brighten",
        r"\b(?:over )?brighten\w+|\bbrighter\b|\bover ?bright\b|\bover expos\w+|\b(?:too|overly) (?:bright|light)\b|"
        + _changed(r"brightness", _RAISED),
    ),
    (
        "darken",
        r"\b(?:over )?darken\w+|\bdarker\b|\bunder expos\w+|\b(?:too|overly) (?:dark|dim)\b|\bdimmed\b|\bdark(?:ness)?\b"
        r"|\bpoorly lit\b|" + _changed(r"brightness", _LOWERED),
    ),
    (
        "blur",
        r"\bblur(?!b)\w*|\b(?:out of|lacks|poor|soft) focus|\bdefocus\w*|\bunsharp\b|\bnot sharp\b|\bfuzz(?:y|iness)"
        r"|\bsmear\w+|\b(?:loss|lack) of (?:sharpness|clarity|focus)|\blacks? (?:sharpness|clarity)"
        r"|\b(?:low|poor|reduced) sharpness",
    ),
    (
        "noise",
        r"\bnois(?:e|y|es|iness)\b(?: artifacts?)?|\bgrain(?:y|s|iness)?\b|\bspeckl\w+|\bsalt and pepper",
    ),
)

_FIELDS: tuple[tuple[str, str], ...] = (
    ("rest", r"\b(?:every|any|all|no)(?:thing)? else|\b(?:all |any )?(?:the )?other (?:aspect|field|respect|propert|"
     r"distortion|degradation|defect|issue|problem|quality issue)\w*|\bthe rest\b|\b(?:the )?others\b|\botherwise\b"),
    ("quality_high", r"\b(?:very )?(?:high|top|good|great|excellent) (?:overall |image |visual |perceptual )*quality"
     r"|\bquality (?:is|remains|looks) (?:still )?(?:very )?high\b"),
    ("quality_low", r"\b(?:very )?(?:low|poor|bad) (?:overall |image |visual |perceptual )*quality"
     r"|\bquality (?:is|looks) (?:very )?low\b"),
    ("overall", r"\boverall(?: quality| level| distortion)?|\bin (?:general|total|summary|sum|short)\b|\bon the whole\b"
     r"|\b(?:image |visual )?quality\b"),
    ("texture", r"\btextur\w+|\b(?:fine )?details?\b|\bfine structures?"),
    ("brightness", r"\bbrightness|\blighting|\billumination|\bexposure|\bluminance|\bcontrast"),
    ("color", r"\bcolors?\b|\bsaturation|\bhues?\b|\bchroma\w*|\btones?\b|\bcoloring"),
    ("artifacts", r"\bartifacts?|\bringing|\bhalo(?:s|es|ing)?\b"),
    ("sharp", r"\bsharp\b|\bcrisp\b|\bin focus\b"),
    ("blur", r"\bsharpness|\bfocus\b|\bclarity"),
    ("all", r"\bdistortions?\b|\bdegradations?\b|\bdefects?\b|\bflaws?\b|\bimpairments?\b"),
)  # fmt: skip

_IMPLIED = {"sharp": ("blur", NONE), "quality_high": ("overall", NONE), "quality_low": ("overall", SEVERE)}
"""Words that say a field and its degree at once."""

_SUFFIX = r"(?: (?:distortions?|damages?|degradations?|issues?|problems?|errors?|shifts?|changes?|level))?"

_DEGREES: tuple[tuple[str, str], ...] = (
    # A negated degree is one degree: `not severe` is mild, `no obvious` is none.
    (LESS, r"(?:less|fewer|more|lower|higher|lesser|greater)(?! than (?:ideal|perfect))"),
    (MILD, r"(?:not|n't) (?:(?:too|very|so|that|particularly) )?(?:sever|seri|strong|heav|obvious|signif|extrem|bad)\w*"),
    (NONE, r"(?:not|n't|never) (?:at all )?(?:notic|visib|distort|damag|affect|degrad|percept|present|appar|lost|detect)\w*"),
    (NONE, r"(?:no|not|without|hardly|barely|n't) (?:(?:any|a|show|exhibit|have|suffer from|contain) )*"
     r"(?:(?:visible|visibly|notic\w+|obvious\w*|appar\w+|signif\w+|percept\w+|sever\w+|seri\w+|strong\w*|heav\w+|clear\w*"
     r"|major|real|sign|signs|trace|traces) ?(?:of )?)+"),
    (SEVERE, r"(?:far )?(?:from|not) (?:good|ideal|acceptable|perfect)"),
    (NONE, r"(?:almost |nearly |virtually |practically |close to |completely |entirely )?"
     r"(?:free (?:of|from)|devoid of|without|none|undistorted|pristine|flawless|perfect|absent|unaffected|undamaged"
     r"|undegraded|untouched|lossless|no|neither|nor|not|n't|never|lacks?|hardly any|barely any|barely|hardly)\b"),
    (NONE, r"fine|normal|natural|intact|preserved|well kept|kept|good|great|excellent|okay|ok|accurate|faithful|clean|correct"
     r"|proper\w*|appropriate|adequate|balanced|unchanged|negligible|invisible|unnoticeable|imperceptible"
     r"|acceptable quality|high quality|retained|clear"),
    (SEVERE, r"very (?:sever\w+|strong\w*|heav\w+|notic\w+|bad\w*|poor\w*|low|blurry|noisy)(?<!blurry)(?<!noisy)"),
    (MILD, r"(?:very |only )?(?:mild\w*|slight\w*|minor|light(?:ly)?|faint\w*|small|a little|a bit|somewhat|subtl\w+|moderat\w+"
     r"|limited|some|few|partly|partially|weak(?:ly)?|low level|low|fair(?:ly)?|acceptable|decent|medium|average|little)"),
    (SEVERE, r"sever\w+|heav(?:y|ily)|strong(?:ly)?|seri(?:ous\w*)|obvious\w*|signif\w+|extrem\w+|consider\w+|catastroph\w+"
     r"|pronounced|major|substantial\w*|badly|bad|poor(?:ly)?|terribl\w+|awful\w*|intens\w+|drastic\w*|high|very|destroyed|lost"
     r"|ruined|wrecked|highly|deeply|greatly|totally|completely|fully"),
)  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """A term or a degree found in a clause: `kind` is class, field or degree; text positions are of the clause."""

    kind: str
    name: str
    start: int
    end: int
    degree: str | None = None


def _compile() -> tuple[re.Pattern[str], list[tuple[str, str]]]:
    parts: list[str] = []
    names: list[tuple[str, str]] = []
    for kind, table in (("class", _CLASSES), ("field", _FIELDS), ("degree", _DEGREES)):
        for name, pattern in table:
            suffix = _SUFFIX if kind != "degree" else r"\b"
            prefix = "" if kind != "degree" else r"(?<![a-z])"
            parts.append(rf"(?P<g{len(names)}>{prefix}(?:{pattern}){suffix})")
            names.append((kind, name))
    return re.compile("|".join(parts)), names


_PATTERN, _NAMES = _compile()
_DEGREE = re.compile("|".join(rf"(?P<d{i}>(?<![a-z])(?:{p})\b)" for i, (_, p) in enumerate(_DEGREES)))
_INNER = re.compile(r"\b(?:too|very|excess\w*|overly)\b|contrast|saturation|brightness")


def normalise(text: str) -> str:
    """Lower case, American spelling, no hyphens or quotes, `noise-free` turned round, one space between words."""
    text = text.lower().replace("colour", "color").replace("artefact", "artifact").replace("’", "'")
    text = re.sub(r"[*_`\"()\[\]]", " ", text)
    text = re.sub(r"\b(over|under|hyper|de)[- ]?(?=sharpen|satur|expos|bright|dark)", r"\1 ", text)
    text = text.replace("de satur", "desatur")
    text = re.sub(r"(\w)[-–](\w)", r"\1 \2", text)
    text = re.sub(
        r"\b(noise|blur|artifact|distortion|grain)s? free\b|\b(noise|blur|distortion)less\b",
        r"free of \1\2",
        text,
    )
    text = text.replace("not only ", "").replace("as well as", "and")
    text = re.sub(r"\b(is|are|was|were|does|do|has)n't\b", r"\1 not", text)
    return re.sub(r"\s+", " ", text).strip()


@lru_cache(maxsize=8192)  # answers repeat themselves: a third of the time over a set of texts
def find_marks(clause: str) -> tuple[Mark, ...]:
    """The terms and degrees of a normalised clause, in order and without overlap."""
    marks: list[Mark] = []
    for match in _PATTERN.finditer(clause):
        group = match.lastgroup
        assert group is not None
        kind, name = _NAMES[int(group[1:])]
        degree = name if kind == "degree" else _inner_degree(match.group()) if kind == "class" else None
        if kind == "field" and name in _IMPLIED:
            name, degree = _IMPLIED[name]
        elif name == "rest" and match.group().startswith("no"):  # `nothing else is wrong`
            degree = NONE
        marks.append(Mark(kind, name, match.start(), match.end(), degree))
    return tuple(marks)


def _inner_degree(term: str) -> str | None:
    """The degree inside a compound term: `contrast is slightly strengthened` is mild."""
    if " " not in term:
        return None
    inner = re.sub(
        rf"\b(?:{_RAISED}|{_LOWERED})\b|{_INNER.pattern}|out of|\bnot sharp|lack\w*|\bpoor\b|\bpale\b",
        " ",
        term,
    )
    match = _DEGREE.search(inner)
    return _DEGREES[int(match.lastgroup[1:])][0] if match and match.lastgroup else None
