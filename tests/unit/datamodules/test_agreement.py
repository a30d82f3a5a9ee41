"""Agreement on published examples, and per field on annotations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datamodules.agreement import agreement, cohen_kappa, fleiss_kappa
from datamodules.annotations import Annotation
from depictqa.questionnaire import Level, Questionnaire
from depictqa.sample import Slot

# 14 raters, 10 subjects, 5 categories: the worked example of https://en.wikipedia.org/wiki/Fleiss%27_kappa
FLEISS = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip


def spread(counts):
    return [str(category) for category, count in enumerate(counts) for _ in range(count)]


def annotations(name, keys, **levels):
    form = Questionnaire(texture="Stone", **levels)
    pair = {Slot.A: form, Slot.B: Questionnaire(texture="Stone")}
    images = {Slot.A: "a", Slot.B: "b"}
    return [Annotation(key, name, images, pair, Slot.B, {"noise": Slot.B, "blur": None}) for key in keys]


def test_fleiss_on_the_published_example():
    assert fleiss_kappa([spread(row) for row in FLEISS]) == pytest.approx(0.210, abs=5e-4)


def test_cohen_on_the_published_example():
    # 50 proposals, https://en.wikipedia.org/wiki/Cohen%27s_kappa
    ratings = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa(ratings) == pytest.approx(0.4)


@pytest.mark.parametrize("kappa", [cohen_kappa, fleiss_kappa])
def test_bounds(kappa):
    assert kappa([("x", "x"), ("y", "y")]) == pytest.approx(1)
    assert kappa([("x", "y"), ("y", "x")]) == pytest.approx(-1)
    assert kappa([("x", "x"), ("x", "x")]) is None  # no chance to correct for


def test_each_field_counts_the_items_that_all_annotated():
    ada = annotations("ada", "123", noise=Level.SEVERE)
    bob = annotations("bob", "1234", noise=Level.SEVERE)
    bob[0] = replace(
        bob[0], better=Slot.A, forms={slot: Questionnaire(texture="Sky") for slot in Slot if slot != "reference"}
    )
    names, found = agreement(ada + bob)
    by_field = {one.field: one for one in found}
    assert names == ("ada", "bob")
    assert list(by_field) == [
        "texture", "brightness", "color", "noise", "artifacts", "blur", "overall", "better in noise", "better in blur",
        "better",
    ]  # fmt: skip
    assert by_field["noise"].num_cases == 6 and by_field["noise"].share == pytest.approx(5 / 6)
    assert by_field["noise"].kappa == pytest.approx((5 / 6 - 0.5) / 0.5)  # ada: 3 of 6 severe, bob: 2 of 6
    assert by_field["blur"].kappa is None and by_field["blur"].share == 1
    assert (by_field["better"].num_cases, by_field["better"].kappa) == (3, 0.0)


def test_three_annotators_are_compared_by_fleiss():
    lines = [one for name in ("ada", "bob", "cy") for one in annotations(name, "12", noise=Level.MILD)]
    lines[-1] = replace(lines[-1], better=Slot.A)
    names, found = agreement(lines)
    better = next(one for one in found if one.field == "better")
    assert len(names) == 3 and better.share == pytest.approx((1 + 1 / 3) / 2)
    assert better.kappa == pytest.approx(fleiss_kappa(["bbb", "bba"]))


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match="needs two annotators or more; these are by ada"):
        agreement(annotations("ada", "12"))
    with pytest.raises(ValueError, match="no item was annotated by all of ada, bob"):
        agreement(annotations("ada", "1") + annotations("bob", "2"))
