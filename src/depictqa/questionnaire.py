"""The questionnaire of the paper's annotators: what a person states about one image, as a typed record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How strongly one of the five distortion fields shows."""

    UNDISTORTED = "undistorted"
    MILD = "mild"
    SEVERE = "severe"


class Overall(StrEnum):
    """The image as a whole."""

    NEARLY_UNDISTORTED = "nearly undistorted"
    MILD = "mild"
    SEVERE = "severe"


FIELDS = ("brightness", "color", "noise", "artifacts", "blur")
"""The five distortion fields, in the order of the form."""

FIELD_OF: Mapping[str, str] = {
    # Light and dark, and how far apart they lie, is what an annotator sees as brightness.
    "brighten": "brightness",
    "darken": "brightness",
    "contrast_strengthen": "brightness",
    "contrast_weaken": "brightness",
    # Saturation moves chroma and leaves luminance nearly alone.
    "saturate_strengthen": "color",
    "saturate_weaken": "color",
    "noise": "noise",
    "blur": "blur",
    # Structure that was not in the scene: blocks, ringing, halos, steps between flat colors.
    "compression": "artifacts",
    "oversharpen": "artifacts",
    "pixelate": "artifacts",
    "quantization": "artifacts",
}
"""Distortion class -> the field under which it is filed. The keys are the 12 classes of DQ-495K."""

TEXTURES = (
    "Water Surface",
    "Fabrics",
    "Plants/Foliage",
    "Faces",
    "Animal Fur",
    "Buildings",
    "Stone",
    "Wood",
    "Metal",
    "Sky",
    "Tissue",
    "Objects",
)
"""Texture categories: the four that the talk shows, then ours for photos that fit none of them."""


@dataclass(frozen=True)
class Questionnaire:
    """One image's form. `texture` is the texture category (None where it is not stated)."""

    brightness: Level = Level.UNDISTORTED
    color: Level = Level.UNDISTORTED
    noise: Level = Level.UNDISTORTED
    artifacts: Level = Level.UNDISTORTED
    blur: Level = Level.UNDISTORTED
    overall: Overall = Overall.NEARLY_UNDISTORTED
    texture: str | None = None
    texture_damage: Level | None = None

    def level(self, field: str) -> Level:
        """The level of one of `FIELDS`."""
        assert field in FIELDS, field
        return getattr(self, field)

    def to_dict(self) -> dict[str, str | None]:
        """Plain values for JSON; what was not stated is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: str(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Questionnaire:
        """The inverse of `to_dict`. Raises ValueError naming the field for anything unknown or missing."""
        if not isinstance(values, Mapping):
            raise ValueError(f"questionnaire is a {type(values).__name__}; give an object of fields")
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"questionnaire field {unknown[0]!r} unknown; choose from {', '.join(known)}")
        missing = [name for name in (*FIELDS, "overall") if name not in values]
        if missing:
            raise ValueError(f"questionnaire field {missing[0]!r} is missing; every form states it")
        read: dict[str, Any] = {name: _choice(Level, name, values[name]) for name in FIELDS}
        read["overall"] = _choice(Overall, "overall", values["overall"])
        if values.get("texture_damage") is not None:
            read["texture_damage"] = _choice(Level, "texture_damage", values["texture_damage"])
        texture = values.get("texture")
        if texture is not None and not isinstance(texture, str):
            raise ValueError(f"questionnaire field 'texture' is {texture!r}; give a texture category as text")
        return cls(**read, texture=texture)


def form_in_words(form: Questionnaire) -> str:
    """All that it states, a line for each field."""
    stated = {field_in_words(field): str(form.level(field)) for field in FIELDS}
    if form.texture_damage is not None:
        stated["texture damage"] = str(form.texture_damage).replace("undistorted", "none")
    if form.texture is not None:
        stated["main texture in the image"] = form.texture
    stated["image as a whole"] = str(form.overall)
    return "\n".join(f"- {name}: {value}" for name, value in stated.items())


def field_in_words(field: str) -> str:
    return {"brightness": "brightness and contrast"}.get(field, field.replace("_", " "))


def _choice(kind: type[StrEnum], name: str, value: Any) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(member.value for member in kind)
        raise ValueError(f"questionnaire field {name!r} is {value!r}; choose {choices}") from None
