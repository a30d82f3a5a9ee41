"""Every function: stronger with severity, the same pixels for the same seed, any size from 32 px, one-line errors."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.distortions import (
    CLASS_OF,
    CLASSES,
    FUNCTIONS,
    MIN_SIDE,
    SEVERITIES,
    detectable_without_reference,
    distort,
    severity_word,
)
from datamodules.distortions.quantization import otsu_classes
from depictqa.questionnaire import FIELD_OF

MIN_STEP = 0.5  # dB between neighbouring severities
TONE_AND_COLOR = [name for name in FUNCTIONS if CLASS_OF[name].startswith(("bright", "dark", "contrast", "saturate"))]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_image(height: int, width: int) -> np.ndarray:
    return seeded(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def psnr(image: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(np.float64) - other) ** 2)))


def saturation(image: np.ndarray) -> float:
    """Mean distance between the largest and the smallest channel."""
    return float(np.ptp(image.astype(np.int64), axis=2).mean())


def detail(image: np.ndarray) -> float:
    """Mean absolute difference of neighbours in a row."""
    return float(np.abs(np.diff(image.astype(np.int64), axis=1)).mean())


DIRECTIONS = {
    "blur": (detail, -1),
    "noise": (detail, 1),
    "brighten": (np.mean, 1),
    "darken": (np.mean, -1),
    "contrast_strengthen": (np.std, 1),
    "contrast_weaken": (np.std, -1),
    "saturate_strengthen": (saturation, 1),
    "saturate_weaken": (saturation, -1),
    "oversharpen": (detail, 1),
    "pixelate": (lambda image: float((np.diff(image.astype(np.int64), axis=1) == 0).mean()), 1),
    "quantization": (lambda image: len(np.unique(image.astype(np.uint32) @ [1 << 16, 1 << 8, 1])), -1),
}
"""Class -> what its functions change, and which way. Compression has no single one; its PSNR is tested."""


def test_twelve_classes_of_thirty_five_functions() -> None:
    assert len(CLASSES) == 12 and len(FUNCTIONS) == 35
    assert set(CLASSES) == set(FIELD_OF)
    assert sorted(name for members in CLASSES.values() for name in members) == sorted(FUNCTIONS)
    assert all(function in CLASSES[name] for function, name in CLASS_OF.items())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_psnr_falls_with_every_step_of_severity(function: str, photos: list[np.ndarray]) -> None:
    fidelity = [
        np.mean([psnr(photo, distort(photo, function, severity, seeded(severity))) for photo in photos])
        for severity in SEVERITIES
    ]
    assert all(np.diff(fidelity) < -MIN_STEP), np.round(fidelity, 1)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_functions_of_a_class_share_their_direction(name: str, photos: list[np.ndarray]) -> None:
    """Beyond being changed, a brightened image is brighter, one of weaker contrast flatter, and so on."""
    measure, direction = DIRECTIONS[name]
    before = np.mean([measure(photo) for photo in photos])
    for function in CLASSES[name]:
        if function in ("glass_blur", "jitter"):  # displaced pixels are grain, which is detail in the wrong places
            continue
        after = [
            np.mean([measure(distort(photo, function, severity, seeded())) for photo in photos])
            for severity in SEVERITIES
        ]
        assert all(np.diff([before, *after]) * direction > 0), (function, before, after)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (101, 32), (64, 65)])
def test_any_size_keeps_its_shape_and_its_input(function: str, shape: tuple[int, int]) -> None:
    image = random_image(*shape)
    before = image.copy()
    for severity in SEVERITIES:
        distorted = distort(image, function, severity, seeded())
        assert distorted.dtype == np.uint8 and distorted.shape == image.shape
        assert not np.shares_memory(distorted, image)
        assert not np.array_equal(distorted, image)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_same_seed_same_pixels_and_no_other_randomness(function: str, photos: list[np.ndarray]) -> None:
    state = np.random.get_state()
    first = distort(photos[0], function, 3, seeded(5))
    np.random.seed(123)
    again = distort(photos[0], function, 3, seeded(5))
    assert np.array_equal(first, again)
    np.random.set_state(state)
    distort(photos[0], function, 3, seeded(6))
    after = np.random.get_state()
    assert after[2:] == state[2:] and np.array_equal(after[1], state[1])


@pytest.mark.parametrize("function", ["motion_blur", "glass_blur", "jitter", *CLASSES["noise"]])
def test_random_functions_draw_from_the_generator(function: str, photos: list[np.ndarray]) -> None:
    assert not np.array_equal(distort(photos[0], function, 3, seeded(1)), distort(photos[0], function, 3, seeded(2)))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_views_and_read_only_images_are_taken(function: str, photos: list[np.ndarray]) -> None:
    view = photos[0][::2, ::-2]
    view.setflags(write=False)
    assert np.array_equal(distort(view, function, 2, seeded()), distort(view.copy(), function, 2, seeded()))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_images_do_not_break(function: str, value: int) -> None:
    flat = np.full((40, 40, 3), value, np.uint8)
    for severity in SEVERITIES:
        assert distort(flat, function, severity, seeded()).shape == flat.shape


@pytest.mark.parametrize("function", TONE_AND_COLOR)
def test_tone_and_color_are_curves_of_the_pixel_alone(function: str, photos: list[np.ndarray]) -> None:
    """Equal pixels stay equal, wherever they are: structure is left where it is."""
    photo = np.concatenate([photos[1], photos[1]], axis=1)
    distorted = distort(photo, function, 4, seeded())
    assert np.array_equal(distorted[:, :192], distorted[:, 192:])
    assert np.array_equal(distort(photo[::-1], function, 4, seeded()), distorted[::-1])


@pytest.mark.parametrize("function", CLASSES["saturate_weaken"])
def test_catastrophic_desaturation_is_gray(function: str, photos: list[np.ndarray]) -> None:
    assert np.ptp(distort(photos[1], function, 5, seeded()), axis=2).max() <= 1


def test_speckle_and_shot_noise_leave_black_black() -> None:
    black = np.zeros((40, 40, 3), np.uint8)
    for function in ("speckle", "poisson_noise"):
        assert not distort(black, function, 5, seeded()).any()


def test_otsu_matches_trying_all_thresholds(photos: list[np.ndarray]) -> None:
    from skimage.filters import threshold_multiotsu

    gray = photos[0][..., 1]
    classes = otsu_classes(np.bincount(gray.ravel(), minlength=256), 3)
    thresholds = threshold_multiotsu(gray, 3, nbins=256)
    expected = np.digitize(gray, thresholds, right=True)

    def within(labels: np.ndarray) -> float:
        return sum(float(gray[labels == k].var() * (labels == k).sum()) for k in range(3))

    assert within(classes[gray]) <= within(expected) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"function": "blurr"}, "distortion 'blurr' unknown; choose gaussian_blur"),
        ({"function": "blur"}, "distortion 'blur' unknown"),
        ({"severity": 6}, "severity 6 of jpeg unknown; choose an integer from 1 to 5"),
        ({"severity": 0}, "severity 0 of jpeg unknown"),
        ({"severity": 2.0}, "severity 2.0 of jpeg unknown"),
        ({"severity": True}, "severity True of jpeg unknown"),
        ({"image": np.zeros((40, 40, 3), np.float32)}, "got float32 [40, 40, 3]"),
        ({"image": np.zeros((40, 40), np.uint8)}, "got uint8 [40, 40]"),
        ({"image": np.zeros((40, 40, 4), np.uint8)}, "got uint8 [40, 40, 4]"),
        ({"image": [[0]]}, "got list"),
        ({"image": np.zeros((31, 40, 3), np.uint8)}, f"40x31 px; give at least {MIN_SIDE} px a side"),
        ({"rng": 0}, "got int as rng; pass numpy.random.default_rng(seed)"),
    ],
)
def test_wrong_input_is_an_error_of_one_line(change: dict, message: str) -> None:
    given = {"image": np.zeros((40, 40, 3), np.uint8), "function": "jpeg", "severity": 1, "rng": seeded()} | change
    with pytest.raises(ValueError) as error:
        distort(**given)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_what_is_told_without_a_reference() -> None:
    slight = {name for name in CLASSES if detectable_without_reference(name, 1)}
    assert slight == {"blur", "noise", "compression", "pixelate"}
    assert detectable_without_reference("jpeg", 1) and not detectable_without_reference("oversharpen", 1)
    assert all(detectable_without_reference(name, severity) for name in CLASSES for severity in SEVERITIES[1:])
    assert [severity_word(severity) for severity in (1, 5)] == ["slight", "catastrophic"]
