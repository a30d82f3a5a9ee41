"""Text by rule: a filled questionnaire and the known distortions -> a description, or A weighed against B.

Wording varies, content does not: every field of the form is stated, and `depictqa.parsing` reads each of
them back. Texts are short (a description about 25 words) and name the distortion first, because that is
what a small model must learn to see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datamodules.writers.forms import level_of, worst_level
from depictqa.questionnaire import FIELD_OF, FIELDS, Level, Overall, Questionnaire
from depictqa.sample import Distortion, Slot, Truth

PARTICIPLES = {
    "blur": "blurred",
    "noise": "noisy",
    "compression": "compressed",
    "brighten": "brightened",
    "darken": "darkened",
    "contrast_strengthen": "strengthened in contrast",
    "contrast_weaken": "weakened in contrast",
    "saturate_strengthen": "strengthened in saturation",
    "saturate_weaken": "weakened in saturation",
    "oversharpen": "oversharpened",
    "pixelate": "pixelated",
    "quantization": "quantized",
}
"""Class -> what the image `is`."""

NOUNS = {
    "blur": "blur",
    "noise": "noise",
    "compression": "compression",
    "brighten": "brightening",
    "darken": "darkening",
    "contrast_strengthen": "contrast strengthening",
    "contrast_weaken": "contrast weakening",
    "saturate_strengthen": "saturation strengthening",
    "saturate_weaken": "saturation weakening",
    "oversharpen": "oversharpening",
    "pixelate": "pixelation",
    "quantization": "quantization",
}
"""Class -> what the image `shows`."""

_FIELD_PARTICIPLES = {"brightness": "distorted in brightness", "color": "distorted in color"}
_FIELD_PARTICIPLES |= {"noise": "noisy", "artifacts": "distorted by artifacts", "blur": "blurred"}
_FIELD_NOUNS = {"brightness": "brightness distortion", "color": "color distortion"}
_FIELD_NOUNS |= {"noise": "noise", "artifacts": "artifact distortion", "blur": "blur"}

_ADVERBS = {Level.MILD: ("slightly", "mildly"), Level.SEVERE: ("severely", "heavily")}
_ADJECTIVES = {Level.MILD: ("slight", "mild"), Level.SEVERE: ("severe", "heavy")}

_FINE = ("fine", "normal", "unaffected")
_REST = ("All other aspects are", "Everything else is", "The rest is")
_TEXTURE = {
    Level.UNDISTORTED: ("intact", "preserved"),
    Level.MILD: ("slightly damaged", "mildly damaged"),
    Level.SEVERE: ("severely damaged", "heavily damaged"),
}
_OVERALL = {
    Overall.NEARLY_UNDISTORTED: "nearly undistorted",
    Overall.MILD: "mildly distorted",
    Overall.SEVERE: "severely distorted",
}
_CLEAN = ("{} shows no visible distortion", "{} has no distortion", "{} is free of distortion")
_BETTER = (
    "so {} is better",
    "so {} has better quality",
    "therefore {} is the better one",
    "so {} is preferred",
)
_EQUAL = ("so both images are equally good", "so both images have the same quality")


def describe(truth: Truth, rng: np.random.Generator, slot: Slot = Slot.A) -> str:
    """One image's questionnaire in words: distortions first, then the rest, texture and overall quality."""
    form = truth.questionnaires[slot]
    parts = [_distortions("The image", _named(form, truth.distortions.get(slot, ())), rng)]
    fine = [field for field in FIELDS if form.level(field) is Level.UNDISTORTED]
    texture = _texture(form, rng)
    rest = _remaining(fine, rng) if len(fine) < len(FIELDS) else ""
    if rest and texture and rng.random() < 0.5:
        parts.append(f"{rest}, and its {texture}")
    else:
        parts += [rest, f"Its {texture}" if texture else ""]
    parts.append(f"Overall, {_pick(rng, ('it', 'the image'))} is {_OVERALL[form.overall]}")
    return " ".join(part + "." for part in parts if part)


def reason(truth: Truth, rng: np.random.Generator) -> str:
    """The distortions of A against those of B, field by field, then the conclusion (`truth.better`)."""
    slots = (Slot.A, Slot.B)
    forms = {slot: truth.questionnaires[slot] for slot in slots}
    first = [
        _distortions(f"Image {slot.upper()}", _named(forms[slot], truth.distortions.get(slot, ())), rng)
        for slot in slots
    ]
    joint = _pick(rng, (", while ", ", whereas ", ". "))
    parts = [joint.join(first)]
    fine = [field for field in FIELDS if all(forms[slot].level(field) is Level.UNDISTORTED for slot in slots)]
    if len(fine) < len(FIELDS):
        parts.append(f"{_pick(rng, _REST)} {_pick(rng, _FINE)} in both images")
    parts.append(_textures(forms, rng))
    parts.append(f"{_overalls(forms, rng)}, {_conclusion(truth.better, rng)}")
    return " ".join(part + "." for part in parts if part)


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _named(form: Questionnaire, distortions: Sequence[Distortion]) -> list[tuple[str, Level]]:
    """(class or field, level) of all that is distorted, worst first; a field whose class is unknown by itself."""
    named: list[tuple[str, Level]] = []
    for field in FIELDS:
        if form.level(field) is Level.UNDISTORTED:
            continue
        known = [(d.name, level_of(d.severity)) for d in distortions if FIELD_OF[d.name] == field]
        if known and worst_level(*(level for _, level in known)) is not form.level(field):
            known = [(name, form.level(field)) for name, _ in known]  # the form is what an annotator saw
        named += dict(known).items() if known else [(field, form.level(field))]
    return sorted(named, key=lambda item: item[1] is not Level.SEVERE)


def _distortions(subject: str, named: list[tuple[str, Level]], rng: np.random.Generator) -> str:
    """`The image is severely blurred and slightly darkened`, without the stop."""
    if not named:
        return _pick(rng, _CLEAN).format(subject)
    if rng.random() < 0.5:
        verb = "is"
        words = [
            f"{_pick(rng, _ADVERBS[level])} {PARTICIPLES.get(name) or _FIELD_PARTICIPLES[name]}"
            for name, level in named
        ]
    else:
        verb = _pick(rng, ("shows", "has", "suffers from"))
        words = [f"{_pick(rng, _ADJECTIVES[level])} {NOUNS.get(name) or _FIELD_NOUNS[name]}" for name, level in named]
    return f"{subject} {verb} {_list(words)}"


def _remaining(fine: Sequence[str], rng: np.random.Generator) -> str:
    """The undistorted fields by name, or as the rest."""
    if not fine:
        return ""
    fineness = _pick(rng, _FINE)
    if rng.random() < 0.5:
        return f"{_pick(rng, _REST)} {fineness}"
    verb = "are" if len(fine) > 1 or fine == ["artifacts"] else "is"
    return f"{_list(fine).capitalize()} {verb} {fineness}"


def _texture(form: Questionnaire, rng: np.random.Generator) -> str:
    if form.texture_damage is None:
        return ""
    return f"texture is {_pick(rng, _TEXTURE[form.texture_damage])}"


def _textures(forms: dict[Slot, Questionnaire], rng: np.random.Generator) -> str:
    stated = {slot: form.texture_damage for slot, form in forms.items() if form.texture_damage is not None}
    if len(stated) == 2 and stated[Slot.A] is stated[Slot.B]:
        return f"Texture is {_pick(rng, _TEXTURE[stated[Slot.A]])} in both images"
    words = [f"{_pick(rng, _TEXTURE[level])} in Image {slot.upper()}" for slot, level in stated.items()]
    return f"Texture is {_list(words)}" if words else ""


def _overalls(forms: dict[Slot, Questionnaire], rng: np.random.Generator) -> str:
    a, b = (_OVERALL[forms[slot].overall] for slot in (Slot.A, Slot.B))
    if a == b:
        return f"Overall, both images are {a}"
    return f"Overall, Image A is {a} and Image B is {b}"


def _conclusion(better: Slot | None, rng: np.random.Generator) -> str:
    if better is None:
        return _pick(rng, _EQUAL)
    return _pick(rng, _BETTER).format(f"Image {better.upper()}")


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
