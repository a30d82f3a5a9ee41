"""Anyone's wording of a description or of a comparison is read as a person would read it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depictqa.parsing import ParsedFields, parse_description, parse_reasoning
from depictqa.questionnaire import FIELDS
from depictqa.sample import Slot


def said(parsed: ParsedFields) -> dict[str, str]:
    """The parsed fields as plain words, without those that are not stated."""
    fields = (*FIELDS, "overall", "texture_damage")
    return {name: str(getattr(parsed, name)) for name in fields if getattr(parsed, name) is not None}


CLEAN = dict.fromkeys(FIELDS, "undistorted")

DESCRIPTIONS = [
    # text, fields, classes
    ("The image is severely blurred.", {"blur": "severe"}, {"blur"}),
    ("The image is slightly out of focus.", {"blur": "mild"}, {"blur"}),
    ("It is too dark. It is very blurry.", {"blur": "severe"}, {"blur", "darken"}),
    ("Heavy grain is visible.", {"noise": "severe"}, {"noise"}),
    ("It isn't noisy, but slightly over-exposed.", {"noise": "undistorted", "brightness": "mild"}, {"brighten"}),
    ("Strong blocking artifacts can be seen.", {"artifacts": "severe"}, {"compression"}),
    ("It suffers from moderate JPEG compression.", {"artifacts": "mild"}, {"compression"}),
    ("The contrast is slightly too low.", {"brightness": "mild"}, {"contrast_weaken"}),
    ("The contrast is severely strengthened.", {"brightness": "severe"}, {"contrast_strengthen"}),
    ("Colors are slightly oversaturated.", {"color": "mild"}, {"saturate_strengthen"}),
    ("The picture is heavily desaturated.", {"color": "severe"}, {"saturate_weaken"}),
    ("The image has been over-sharpened, obviously.", {}, {"oversharpen"}),
    ("There is strong posterization.", {"artifacts": "severe"}, {"quantization"}),
    ("Slight pixelation.", {"artifacts": "mild"}, {"pixelate"}),
    ("Blur", {}, {"blur"}),  # how strong is not said
    # negation
    ("no blur, no noise, no artifacts", dict.fromkeys(("blur", "noise", "artifacts"), "undistorted"), set()),
    ("There is no noise, blur or artifacts.", dict.fromkeys(("blur", "noise", "artifacts"), "undistorted"), set()),
    ("It is free of blur and without visible noise.", {"blur": "undistorted", "noise": "undistorted"}, set()),
    ("A noise-free image.", {"noise": "undistorted"}, set()),
    ("Neither noise nor blur is visible.", {"noise": "undistorted", "blur": "undistorted"}, set()),
    ("There is no obvious noise.", {"noise": "undistorted"}, set()),
    ("The noise is not severe.", {"noise": "mild"}, {"noise"}),
    ("There is hardly any noise and the colors are washed out.", {"noise": "undistorted"}, {"contrast_weaken"}),
    ("The image is not distorted.", CLEAN, set()),
    ("No distortion is visible.", CLEAN, set()),
    # lists, before and after
    ("Brightness, color and noise are fine.", dict.fromkeys(("brightness", "color", "noise"), "undistorted"), set()),
    ("It has severe blur, mild noise and no artifacts.",
     {"blur": "severe", "noise": "mild", "artifacts": "undistorted"}, {"blur", "noise"}),
    ("Severe noise, color is fine.", {"noise": "severe", "color": "undistorted"}, {"noise"}),
    ("The blur is obvious while the noise is slight.", {"blur": "severe", "noise": "mild"}, {"blur", "noise"}),
    ("Severe blur. Everything else is fine.", {**CLEAN, "blur": "severe"}, {"blur"}),
    # texture and overall
    ("Its texture is slightly damaged.", {"texture_damage": "mild"}, None),
    ("Fine details are lost.", {"texture_damage": "severe"}, None),
    ("Overall, the image is nearly undistorted.", {"overall": "nearly undistorted"}, None),
    ("The overall quality is poor.", {"overall": "severe"}, None),
    ("It is of high quality.", {"overall": "nearly undistorted"}, None),
    ("The quality is acceptable.", {"overall": "mild"}, None),
    ("Overall, the image has severe blur.", {"blur": "severe"}, {"blur"}),
    ("Good quality overall, with no visible distortions.", {**CLEAN, "overall": "nearly undistorted"}, set()),
    ("Poor quality due to severe motion blur.", {"overall": "severe", "blur": "severe"}, {"blur"}),
    # forms
    ("Blur: severe\nNoise: none\nTexture damage: mild\nOverall quality: poor",
     {"blur": "severe", "noise": "undistorted", "texture_damage": "mild", "overall": "severe"}, {"blur"}),
    # comparisons say nothing absolute, but a change against the reference is one
    ("It has less noise than usual.", {}, None),
    ("Compared to the reference, it is slightly darker.", {"brightness": "mild"}, {"darken"}),
    # nothing of quality
    ("A cat sits on a sofa.", {}, None),
    ("", {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fields", "classes"), DESCRIPTIONS)
def test_descriptions(text: str, fields: dict[str, str], classes: set[str] | None) -> None:
    parsed = parse_description(text)
    assert said(parsed) == fields
    assert parsed.classes == classes


def test_a_contradiction_goes_to_what_is_distorted() -> None:
    parsed = parse_description("There is no artifact. Severe pixelation is visible.")
    assert said(parsed) == {"artifacts": "severe"}
    assert parsed.classes == {"pixelate"}


REASONINGS = [
    # text, fields of A, fields of B
    ("Image A is severely blurred, while Image B shows slight noise.", {"blur": "severe"}, {"noise": "mild"}),
    ("Image A is blurred severely and Image B is slightly noisy.", {"blur": "severe"}, {"noise": "mild"}),
    ("The first image shows slight compression artifacts, the second image is severely pixelated.",
     {"artifacts": "mild"}, {"artifacts": "severe"}),
    ("A's texture is severely damaged while B's is intact.",
     {"texture_damage": "severe"}, {"texture_damage": "undistorted"}),
    ("Texture is intact in Image A and slightly damaged in Image B.",
     {"texture_damage": "undistorted"}, {"texture_damage": "mild"}),
    ("Overall, Image A is severely distorted and Image B is mildly distorted.",
     {"overall": "severe"}, {"overall": "mild"}),
    ("Noise and color are fine in both images.",
     {"noise": "undistorted", "color": "undistorted"}, {"noise": "undistorted", "color": "undistorted"}),
    ("Image A is slightly noisy. Its colors are fine. Image B is severely dark.",
     {"noise": "mild", "color": "undistorted"}, {"brightness": "severe"}),
    ("Image A has less noise than Image B and is slightly blurred.", {"blur": "mild"}, {}),
    ("In Image A, brightness and color are fine, and in Image B the blur is mild.",
     {"brightness": "undistorted", "color": "undistorted"}, {"blur": "mild"}),
    ("Image A: blur severe, noise none. Image B: blur none, noise mild.",
     {"blur": "severe", "noise": "undistorted"}, {"blur": "undistorted", "noise": "mild"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "a", "b"), REASONINGS)
def test_reasonings(text: str, a: dict[str, str], b: dict[str, str]) -> None:
    parsed = parse_reasoning(text)
    assert said(parsed.fields(Slot.A)) == a
    assert said(parsed.fields(Slot.B)) == b


def test_the_verdict_is_read_and_states_no_field() -> None:
    parsed = parse_reasoning("Image A is severely blurred. Image B is better in terms of noise.")
    assert parsed.preference.better is Slot.B
    assert parsed.b.classes is None


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    parse_description(text)
    parse_reasoning(text)


@pytest.mark.parametrize("words", ["no ", "contrast is ", "of in to with ", "noise, ", "Image A and ", "very ", "x"])
def test_long_repetitions_take_no_more_than_moments(words: str) -> None:
    start = time.perf_counter()
    parse_reasoning(words * 2000)
    assert time.perf_counter() - start < 3
