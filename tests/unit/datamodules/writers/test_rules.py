"""Every field of every form can be read back from its text."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.annotations import Annotation
from datamodules.writers.check import disagreements
from datamodules.writers.forms import fill_questionnaire
from datamodules.writers.rules import NOUNS, PARTICIPLES, describe, reason
from depictqa.parsing import ParsedFields, parse_description, parse_reasoning
from depictqa.questionnaire import FIELD_OF, FIELDS, TEXTURES, Level, Overall, Questionnaire
from depictqa.sample import Distortion, Slot, Truth

NUM_FORMS = 10_000


def random_form(rng: np.random.Generator) -> Questionnaire:
    """Any form, also those that no distortion explains."""
    levels = {field: rng.choice(list(Level), p=[0.6, 0.2, 0.2]) for field in FIELDS}
    damage = rng.choice([None, *Level])
    return Questionnaire(
        **{field: Level(level) for field, level in levels.items()},
        overall=Overall(rng.choice(list(Overall))),
        texture=str(rng.choice([*TEXTURES, "Blurry Noise"])) if rng.random() < 0.8 else None,
        texture_damage=Level(damage) if damage is not None else None,
    )


def random_distortions(form: Questionnaire, rng: np.random.Generator) -> tuple[Distortion, ...]:
    """None to two classes for each distorted field of a form."""
    found = []
    for field in FIELDS:
        if form.level(field) is not Level.UNDISTORTED:
            names = [name for name, of in FIELD_OF.items() if of == field]
            count = min(len(names), int(rng.integers(3)))
            for name in rng.permutation(names)[:count]:
                found.append(Distortion(str(name), "any", int(rng.integers(1, 6))))
    return tuple(found)


def random_case(rng: np.random.Generator) -> tuple[Questionnaire, tuple[Distortion, ...]]:
    """Half of the cases as the synthetic source makes them, half from any form."""
    if rng.random() < 0.5:
        names = rng.permutation(list(FIELD_OF))[: rng.integers(4)]
        distortions = tuple(Distortion(str(name), "any", int(rng.integers(1, 6))) for name in names)
        return fill_questionnaire(distortions), distortions
    form = random_form(rng)
    return form, random_distortions(form, rng)


def check(parsed: ParsedFields, form: Questionnaire, distortions: tuple[Distortion, ...], text: str) -> int:
    """How many fields are read back: all of them."""
    for field in FIELDS:
        assert parsed.level(field) is form.level(field), (field, text)
    assert parsed.overall is form.overall, text
    assert parsed.texture_damage is form.texture_damage, text
    # Noise and blur are classes and fields by the same name.
    classes = {d.name for d in distortions}
    classes |= {name for name in ("noise", "blur") if form.level(name) is not Level.UNDISTORTED}
    assert parsed.classes == classes, text
    return len(FIELDS) + 1 + (form.texture_damage is not None)


def test_description_states_every_field() -> None:
    rng = np.random.default_rng(0)
    words, num_fields, several, unnamed = [], 0, 0, 0
    for number in range(NUM_FORMS):
        form, distortions = random_case(rng)
        text = describe(Truth(distortions={Slot.A: distortions}, questionnaires={Slot.A: form}), rng)
        num_fields += check(parse_description(text), form, distortions, text)
        if number % 10 == 0:
            assert disagreements(text, Annotation("1", "ada", {Slot.A: "a.png"}, {Slot.A: form})) == ()
        words.append(len(text.split()))
        several += len(distortions) > 1
        unnamed += not distortions and form != Questionnaire(texture=form.texture)
    print(
        f"\n{NUM_FORMS:,} descriptions ({several:,} of several distortions, {unnamed:,} of fields alone): "
        f"{num_fields:,} of {num_fields:,} fields read back"
    )
    assert np.mean(words) < 30
    assert min(several, unnamed) > NUM_FORMS / 20


def test_reasoning_states_every_field_of_both_images_and_the_conclusion() -> None:
    rng = np.random.default_rng(1)
    num_fields, equal = 0, 0
    for number in range(NUM_FORMS):
        cases = {slot: random_case(rng) for slot in (Slot.A, Slot.B)}
        if rng.random() < 0.1:  # images that are the same
            cases[Slot.B] = cases[Slot.A]
        better = [Slot.A, Slot.B, None][rng.integers(3)]
        forms = {slot: case[0] for slot, case in cases.items()}
        truth = Truth(
            better=better,
            distortions={slot: case[1] for slot, case in cases.items()},
            questionnaires=forms,
        )
        text = reason(truth, rng)
        parsed = parse_reasoning(text)
        for slot, (form, distortions) in cases.items():
            num_fields += check(parsed.fields(slot), form, distortions, text)
        assert parsed.preference.better is better, text
        assert parsed.preference.tie is (better is None), text
        if number % 10 == 0:
            images = {slot: f"{slot}.png" for slot in forms}
            assert disagreements(text, Annotation("1", "ada", images, forms, better)) == ()
        equal += better is None
    total = num_fields + NUM_FORMS
    print(f"\n{NUM_FORMS:,} comparisons ({equal:,} of equal images): {total:,} of {total:,} fields read back")


@pytest.mark.parametrize("name", sorted(FIELD_OF))
@pytest.mark.parametrize("severity", [1, 5])
def test_single_distortion_is_named_in_the_first_sentence_and_the_text_is_short(name: str, severity: int) -> None:
    rng = np.random.default_rng(2)
    distortion = (Distortion(name, "any", severity),)
    form = fill_questionnaire(distortion)
    truth = Truth(
        better=Slot.A,
        distortions={Slot.A: distortion, Slot.B: distortion},
        questionnaires={Slot.A: form, Slot.B: form},
    )
    for _ in range(20):
        text = describe(truth, rng)
        assert parse_description(text.split(".")[0]).classes == {name}
        assert len(text.split()) <= 35
        assert len(reason(truth, rng).split()) <= 60


def test_wording_varies() -> None:
    rng = np.random.default_rng(3)
    truth = Truth(questionnaires={Slot.A: Questionnaire(blur=Level.SEVERE)})
    assert len({describe(truth, rng) for _ in range(200)}) > 50


def test_every_class_has_words() -> None:
    assert set(PARTICIPLES) == set(NOUNS) == set(FIELD_OF)
