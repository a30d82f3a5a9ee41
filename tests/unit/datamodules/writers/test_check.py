"""Where a text and its form disagree, field by field."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.annotations import Annotation
from datamodules.writers.check import Disagreement, disagreements
from datamodules.writers.rules import describe, reason
from depictqa.questionnaire import FIELDS, Level, Overall, Questionnaire
from depictqa.sample import Slot, Truth

NOISY = Questionnaire(noise=Level.MILD, overall=Overall.MILD, texture_damage=Level.MILD)
CLEAN = Questionnaire(texture_damage=Level.UNDISTORTED)


def single(form: Questionnaire, slot: Slot = Slot.A) -> Annotation:
    return Annotation("1", "ada", {slot: "a.png"}, {slot: form})


def pair(a: Questionnaire, b: Questionnaire, better: Slot | None) -> Annotation:
    return Annotation("1", "ada", {Slot.A: "a.png", Slot.B: "b.png"}, {Slot.A: a, Slot.B: b}, better)


@pytest.mark.parametrize("slot", [Slot.A, Slot.B])
def test_a_description(slot: Slot) -> None:
    annotation = single(NOISY, slot)
    assert (
        disagreements("Slight noise. The texture is mildly damaged. Overall, it is mildly distorted.", annotation) == ()
    )
    assert disagreements(
        "The image is severely noisy and slightly blurred. Overall, it is mildly distorted.", annotation
    ) == (
        Disagreement("noise", slot, "mild", "severe"),
        Disagreement("blur", slot, "undistorted", "mild"),
        Disagreement("texture_damage", slot, "mild", None),
    )
    assert [one.field for one in disagreements("", annotation)] == ["noise", "texture_damage", "overall"]


def test_what_is_undistorted_need_not_be_said_and_what_is_not_stated_may() -> None:
    assert disagreements("Overall, the image is nearly undistorted.", single(CLEAN)) == ()
    assert (
        disagreements("The texture is severely damaged. Overall, it is nearly undistorted.", single(Questionnaire()))
        == ()
    )


def test_a_pair() -> None:
    annotation = pair(NOISY, CLEAN, Slot.B)
    text = (
        "Image A has slight noise, while Image B has no distortion. Texture is mildly damaged in Image A and intact in "
        "Image B. Overall, Image A is mildly distorted and Image B is nearly undistorted, so Image {} is better."
    )
    assert disagreements(text.format("B"), annotation) == ()
    (found,) = disagreements(text.format("A"), annotation)
    assert found == Disagreement("better", None, "b", "a")
    assert str(found) == "better: the form states b, the text a"
    swapped = disagreements(text.format("B"), pair(CLEAN, NOISY, Slot.B))
    assert {(one.field, one.slot) for one in swapped} == {
        (field, slot) for field in ("noise", "texture_damage", "overall") for slot in (Slot.A, Slot.B)
    }
    assert str(swapped[0]) == "noise of Image A: the form states undistorted, the text mild"


def test_a_pair_without_a_better_one_is_equal() -> None:
    text = "Both images have slight noise and mildly damaged texture. Overall, both are mildly distorted, {}."
    assert disagreements(text.format("so both images are equally good"), pair(NOISY, NOISY, None)) == ()
    said = disagreements(text.format("so Image A is better"), pair(NOISY, NOISY, None))
    assert said == (Disagreement("better", None, "equal", "a"),)
    assert disagreements(text.format("as said"), pair(NOISY, NOISY, None))[-1].said is None


def test_every_changed_field_of_a_text_by_rule_is_found() -> None:
    rng = np.random.default_rng(0)
    for field in FIELDS:
        for stated in Level:
            for said in set(Level) - {stated}:
                a, b = (Questionnaire(**{field: level, "blur" if field == "noise" else "noise": Level.MILD})
                        for level in (stated, said))  # fmt: skip
                text = describe(Truth(questionnaires={Slot.A: b}), rng)
                assert disagreements(text, single(a)) == (Disagreement(field, Slot.A, str(stated), str(said)),), text
                text = reason(Truth(better=Slot.A, questionnaires={Slot.A: a, Slot.B: b}), rng)
                found = disagreements(text, pair(a, a, Slot.A))
                assert found == (Disagreement(field, Slot.B, str(stated), str(said)),), text


def test_json_and_back() -> None:
    for one in (Disagreement("noise", Slot.A, "mild", None), Disagreement("better", None, "equal", "a")):
        assert Disagreement.from_json(one.to_json()) == one
    for wrong in ("noise", {}, {"field": "sound", "slot": None, "stated": "a", "said": None},
                  {"field": "noise", "slot": "c", "stated": "a", "said": None}):  # fmt: skip
        with pytest.raises(ValueError, match="problem"):
            Disagreement.from_json(wrong)
