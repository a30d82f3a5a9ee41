"""Two distortions: which orders make sense, that the order is kept, and the measurements behind the rule."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from datamodules.distortions import CLASS_OF, CLASSES, distort
from datamodules.distortions.compose import MULTI_SEVERITIES, OPPOSED, STAGE, compose, draw_pair, makes_sense

TONE_AND_COLOR = [name for name in CLASSES if name not in STAGE]


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(difference.astype(np.float64) ** 2)))


def share_left(photos: list[np.ndarray], first: str, second: str, severity: int = 3) -> float:
    """How much of the change that `first` made is still there after `second` (classes), by RMS, over all functions."""
    shares = []
    for photo, one, two in product(photos, CLASSES[first], CLASSES[second]):
        changed = distort(photo, one, severity, np.random.default_rng(1))
        after, alone = (distort(image, two, severity, np.random.default_rng(7)) for image in (changed, photo))
        shares.append(rms(after.astype(float) - alone) / rms(changed.astype(float) - photo))
    return float(np.mean(shares))


def test_no_class_twice_and_no_opposed_classes() -> None:
    for name in CLASSES:
        assert not makes_sense(name, name)
    for first, second in OPPOSED:
        assert not makes_sense(first, second) and not makes_sense(second, first)
    for pair in (("brighten", "darken"), ("contrast_weaken", "contrast_strengthen"), ("blur", "oversharpen")):
        assert not makes_sense(*pair)


def test_structure_follows_the_chain_that_forms_an_image() -> None:
    for first, second in (("blur", "noise"), ("noise", "compression"), ("pixelate", "quantization")):
        assert makes_sense(first, second) and not makes_sense(second, first)
    assert not makes_sense("blur", "pixelate") and not makes_sense("pixelate", "blur")
    assert STAGE["blur"] < STAGE["noise"] < STAGE["oversharpen"] < STAGE["quantization"] < STAGE["compression"]


def test_tone_and_color_go_with_any_structure_in_either_order() -> None:
    for tone, structure in product(TONE_AND_COLOR, STAGE):
        assert makes_sense(tone, structure) and makes_sense(structure, tone)


def test_functions_follow_the_rule_of_their_class() -> None:
    assert makes_sense("motion_blur", "jpeg") and not makes_sense("jpeg", "motion_blur")
    with pytest.raises(ValueError, match="distortion 'blurr' unknown; choose a class"):
        makes_sense("blurr", "noise")


def test_grain_and_halos_are_lost_under_blur_and_kept_by_what_comes_later(photos: list[np.ndarray]) -> None:
    """The percentages in the module's docstring."""
    assert share_left(photos, "noise", "blur") == pytest.approx(0.38, abs=0.05)
    assert share_left(photos, "oversharpen", "blur") == pytest.approx(0.38, abs=0.05)
    assert share_left(photos, "compression", "blur") == pytest.approx(0.60, abs=0.05)
    for first, second in product(("blur", "noise", "oversharpen", "quantization"), repeat=2):
        if STAGE[first] < STAGE[second] and makes_sense(first, second):
            assert share_left(photos[:2], first, second) >= 0.8, (first, second)


def test_steps_are_applied_in_the_order_given(photos: list[np.ndarray]) -> None:
    steps = (("gaussian_blur", 3), ("gaussian_noise_rgb", 2))
    composed = compose(photos[0], steps, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    by_hand = distort(distort(photos[0], "gaussian_blur", 3, rng), "gaussian_noise_rgb", 2, rng)
    assert np.array_equal(composed, by_hand)


@pytest.mark.parametrize(
    ("steps", "remedy"),
    [
        ((("jpeg", 3), ("gaussian_blur", 3)), "jpeg then gaussian_blur: not both visible in the result; swap them"),
        ((("gaussian_blur", 1), ("pixelate", 1)), "choose two that do not hide or undo each other"),
    ],
)
def test_a_senseless_order_is_an_error_that_says_what_to_do(photos: list[np.ndarray], steps, remedy: str) -> None:
    with pytest.raises(ValueError) as error:
        compose(photos[0], steps, np.random.default_rng(0))
    assert remedy in str(error.value) and "\n" not in str(error.value)


def test_drawn_pairs_make_sense_and_reach_every_class_and_severity() -> None:
    rng = np.random.default_rng(0)
    pairs = [draw_pair(rng) for _ in range(3000)]
    assert all(makes_sense(first[0], second[0]) for first, second in pairs)
    assert {CLASS_OF[step[0]] for pair in pairs for step in pair} == set(CLASSES)
    assert {step[0] for pair in pairs for step in pair} == set(CLASS_OF)
    assert {step[1] for pair in pairs for step in pair} == set(MULTI_SEVERITIES)
    assert draw_pair(np.random.default_rng(4)) == draw_pair(np.random.default_rng(4))
