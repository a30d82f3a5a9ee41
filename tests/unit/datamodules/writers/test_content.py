"""Content descriptions state the colours and light that are in the pixels."""

from __future__ import annotations

import re

import numpy as np
import pytest

from datamodules.writers.content import describe_content, main_colors

COLORS = {
    "red": (220, 20, 20),
    "blue": (40, 60, 200),
    "green": (60, 160, 60),
    "yellow": (240, 220, 40),
    "orange": (240, 140, 30),
    "brown": (110, 70, 40),
    "purple": (130, 60, 160),
    "pink": (240, 160, 180),
    "teal": (30, 130, 130),
    "dark green": (20, 60, 30),
    "dark blue": (20, 30, 90),
    "light blue": (150, 200, 240),
    "beige": (220, 200, 160),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
}


def flat(color: tuple[int, int, int], side: int = 40) -> np.ndarray:
    return np.full((side, side, 3), color, np.uint8)


def describe(pixels: np.ndarray, seed: int = 0, **options) -> str:
    return describe_content(pixels, options.pop("subjects", ("a wall",)), np.random.default_rng(seed), **options)


@pytest.mark.parametrize("name", COLORS)
def test_a_flat_color_goes_by_its_name(name: str) -> None:
    assert main_colors(flat(COLORS[name])) == (name,)
    for seed in range(10):
        assert re.search(rf"\b{name}\b", describe(flat(COLORS[name]), seed).lower())


@pytest.mark.parametrize("color", [(255, 0, 0), (255, 60, 60), (170, 30, 40), (150, 10, 10)])
def test_shades_of_red_are_called_red(color: tuple[int, int, int]) -> None:
    assert main_colors(flat(color)) == ("red",)


def test_primaries() -> None:
    assert [main_colors(flat(color))[0] for color in ((0, 0, 255), (0, 255, 0), (255, 255, 0))] == [
        "blue",
        "green",
        "yellow",
    ]


@pytest.mark.parametrize(("rows", "named"), [(4, ("blue",)), (12, ("blue", "red")), (28, ("red", "blue"))])
def test_a_second_color_is_named_from_a_fifth_of_the_pixels(rows: int, named: tuple[str, ...]) -> None:
    pixels = flat(COLORS["blue"])
    pixels[:rows] = COLORS["red"]
    assert main_colors(pixels) == named
    text = describe(pixels).lower()
    assert all(name in text for name in named) and ("red" in text) == ("red" in named)


def test_light_and_where_it_is() -> None:
    assert describe(flat((20, 20, 20))).endswith("It is rather dark and evenly lit.")
    assert describe(flat((128, 128, 128))).endswith("It is of medium brightness and evenly lit.")
    assert describe(flat((240, 240, 240))).endswith("It is bright and evenly lit.")
    ramp = np.repeat(np.linspace(60, 200, 40).astype(np.uint8)[:, None, None], 40, axis=1).repeat(3, axis=2)
    sides = {"at the bottom": ramp, "at the top": ramp[::-1]}
    sides |= {"on the right": ramp.transpose(1, 0, 2), "on the left": ramp.transpose(1, 0, 2)[:, ::-1]}
    for side, pixels in sides.items():
        assert describe(np.ascontiguousarray(pixels)).endswith(f"It is of medium brightness and brighter {side}.")


def test_subject_or_a_sentence_of_the_user_opens_the_description() -> None:
    red = flat(COLORS["red"])
    openings = {describe(red, seed, subjects=("a brick wall",)).split(".")[0] for seed in range(60)}
    assert len(openings) > 3 and all("a brick wall" in opening.lower() for opening in openings)
    assert describe(red, sentences=("My dog",)).startswith("My dog. ")
    assert describe(red, sentences=("Is it a dog?",)).startswith("Is it a dog? ")
    assert re.match(r".*(photo|scene)", describe(red, subjects=()))


def test_sentences_are_well_formed_and_vary_by_the_generator_alone() -> None:
    texts = [describe(flat(COLORS["red"]), seed) for seed in range(60)]
    for text in texts:
        assert "{" not in text and "  " not in text
        assert all(sentence[0].isupper() for sentence in re.split(r"(?<=[.!?]) ", text))
    assert len(set(texts)) > 10
    assert texts == [describe(flat(COLORS["red"]), seed) for seed in range(60)]
