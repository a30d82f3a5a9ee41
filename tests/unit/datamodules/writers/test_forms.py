"""Known distortions -> the form: field, level, texture damage and overall quality."""

from __future__ import annotations

import pytest

from datamodules.distortions import CLASSES, SEVERITIES
from datamodules.writers.forms import fill_questionnaire, level_of, overall_of, worst_level
from depictqa.questionnaire import FIELD_OF, FIELDS, Level, Overall, Questionnaire
from depictqa.sample import Distortion


def fill(**severities: int) -> Questionnaire:
    return fill_questionnaire([Distortion(name, CLASSES[name][0], severity) for name, severity in severities.items()])


def test_clean_image() -> None:
    assert fill() == Questionnaire(overall=Overall.NEARLY_UNDISTORTED, texture_damage=Level.UNDISTORTED)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_one_distortion_marks_its_own_field_alone(name: str, severity: int) -> None:
    form = fill(**{name: severity})
    expected = Level.MILD if severity <= 2 else Level.SEVERE
    for field in FIELDS:
        assert form.level(field) is (expected if field == FIELD_OF[name] else Level.UNDISTORTED)
    assert form.overall is [Overall.NEARLY_UNDISTORTED, Overall.MILD, *[Overall.SEVERE] * 3][severity - 1]


@pytest.mark.parametrize(
    ("name", "slight", "serious"),
    [
        ("blur", Level.MILD, Level.SEVERE),
        ("noise", Level.MILD, Level.SEVERE),
        ("compression", Level.MILD, Level.SEVERE),
        ("pixelate", Level.MILD, Level.SEVERE),
        ("quantization", Level.MILD, Level.SEVERE),
        ("oversharpen", Level.UNDISTORTED, Level.MILD),
        ("brighten", Level.UNDISTORTED, Level.UNDISTORTED),
        ("contrast_weaken", Level.UNDISTORTED, Level.UNDISTORTED),
        ("saturate_strengthen", Level.UNDISTORTED, Level.UNDISTORTED),
    ],
)
def test_texture_damage_is_what_destroys_fine_structure(name: str, slight: Level, serious: Level) -> None:
    assert fill(**{name: 1}).texture_damage is slight
    assert fill(**{name: 4}).texture_damage is serious


def test_the_worst_of_several_counts_in_a_shared_field() -> None:
    form = fill(pixelate=1, compression=4, darken=2)
    assert (form.artifacts, form.brightness, form.blur) == (Level.SEVERE, Level.MILD, Level.UNDISTORTED)
    assert form.overall is Overall.SEVERE and form.texture_damage is Level.SEVERE


def test_several_slight_distortions_make_an_image_mild() -> None:
    assert fill(blur=1, darken=1).overall is Overall.MILD
    assert overall_of([]) is overall_of([1]) is Overall.NEARLY_UNDISTORTED


def test_texture_category_is_passed_on() -> None:
    assert fill_questionnaire([], "Stone").texture == "Stone"


def test_levels() -> None:
    assert [level_of(severity) for severity in SEVERITIES] == [Level.MILD] * 2 + [Level.SEVERE] * 3
    assert worst_level(Level.MILD, Level.SEVERE, Level.UNDISTORTED) is Level.SEVERE
    with pytest.raises(AssertionError):
        level_of(6)
