"""Questionnaires go to plain values and back; what is wrong in one is named in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depictqa.questionnaire import FIELD_OF, FIELDS, TEXTURES, Level, Overall, Questionnaire

FORMS = st.builds(
    Questionnaire,
    **{field: st.sampled_from(Level) for field in FIELDS},
    overall=st.sampled_from(Overall),
    texture=st.none() | st.sampled_from(TEXTURES),
    texture_damage=st.none() | st.sampled_from(Level),
)
FORM = {**dict.fromkeys(FIELDS, "undistorted"), "overall": "mild"}


@given(FORMS)
def test_round_trip_through_json(form: Questionnaire) -> None:
    assert Questionnaire.from_dict(json.loads(json.dumps(form.to_dict()))) == form


def test_what_is_not_stated_is_left_out() -> None:
    assert set(Questionnaire().to_dict()) == {*FIELDS, "overall"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**FORM, "blur": "huge"}, "'blur' is 'huge'; choose undistorted, mild, severe"),
        ({**FORM, "overall": "undistorted"}, "'overall' is 'undistorted'; choose nearly undistorted, mild, severe"),
        ({**FORM, "texture_damage": 3}, "'texture_damage' is 3"),
        ({**FORM, "texture": 3}, "'texture' is 3"),
        ({**FORM, "sharpness": "mild"}, "'sharpness' unknown; choose from brightness"),
        ({"overall": "mild"}, "'brightness' is missing"),
        ({**FORM, "noise": None}, "'noise' is None"),
        ([], "is a list"),
    ],
)
def test_errors_name_the_field_in_one_line(values: object, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Questionnaire.from_dict(values)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_every_class_has_a_field() -> None:
    assert len(FIELD_OF) == 12
    assert set(FIELD_OF.values()) == set(FIELDS)
