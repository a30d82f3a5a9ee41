"""Content descriptions: what a crop shows, as stated by hand, and the colours and layout that are measured in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Reference colours in RGB; a pixel takes the name of the nearest in a space that separates hue from light.
_COLORS = {
    "black": (20, 20, 20),
    "gray": (125, 125, 125),
    "white": (240, 240, 240),
    "red": (200, 50, 45),
    "orange": (235, 130, 60),
    "brown": (120, 75, 45),
    "beige": (215, 190, 155),
    "yellow": (230, 210, 80),
    "green": (80, 140, 70),
    "dark green": (30, 60, 40),
    "teal": (50, 130, 130),
    "light blue": (160, 195, 225),
    "blue": (60, 90, 170),
    "dark blue": (30, 40, 75),
    "purple": (120, 80, 150),
    "pink": (225, 150, 165),
}
_NAMES = tuple(_COLORS)

SECOND_COLOR_SHARE = 0.2  # of the pixels, from which a second colour is worth naming
LIGHT_STEP = 18.0  # grey levels between halves, from which one is called brighter
DARK, BRIGHT = 75.0, 165.0  # mean luma of a dark and of a bright picture

_OPENINGS = (
    "The image shows {}.",
    "This is {}.",
    "{} can be seen.",
    "We see {}.",
    "The picture shows {}.",
    "It shows {}.",
)
_UNKNOWN = ("a photo", "a part of a photo", "a scene")
_COLORING = ("The main color is {}.", "It is mostly {}.", "{} dominates.")
_COLORING_TWO = ("The main colors are {} and {}.", "It is mostly {} and {}.", "{} and {} dominate.")
_LIGHT = {"dark": "rather dark", "bright": "bright", "medium": "of medium brightness"}


def describe_content(
    pixels: np.ndarray, subjects: Sequence[str], rng: np.random.Generator, sentences: Sequence[str] = ()
) -> str:
    """[H, W, 3] uint8 -> two or three sentences: the subject (or one of `sentences` as it stands), colours, light."""
    if sentences:
        opening = sentences[int(rng.integers(len(sentences)))]
        opening += "" if opening[-1] in ".!?" else "."
    else:
        subject = _pick(rng, subjects or _UNKNOWN)
        opening = _capitalised(_pick(rng, _OPENINGS).format(subject))
    colors = main_colors(pixels)
    pool = _COLORING if len(colors) == 1 else _COLORING_TWO
    return f"{opening} {_capitalised(_pick(rng, pool).format(*colors))} {_layout(pixels)}"


def main_colors(pixels: np.ndarray) -> tuple[str, ...]:
    """The name of the most frequent colour, and of a second one that covers enough."""
    reference = _opponent(np.array(list(_COLORS.values()), dtype=np.float32))
    points = _opponent(pixels[::2, ::2].reshape(-1, 3).astype(np.float32))
    nearest = ((points[:, None] - reference[None]) ** 2).sum(-1).argmin(1)
    shares = np.bincount(nearest, minlength=len(_NAMES)) / len(nearest)
    first, second = np.argsort(-shares, kind="stable")[:2]
    return (_NAMES[first], _NAMES[second]) if shares[second] >= SECOND_COLOR_SHARE else (_NAMES[first],)


def _opponent(rgb: np.ndarray) -> np.ndarray:
    """[N, 3] RGB -> lightness and two opponent axes; hue weighs more than lightness."""
    red, green, blue = rgb.T
    return np.stack([(red + green + blue) / 3, 1.2 * (red - green), 1.2 * (green + red) / 2 - 1.2 * blue], axis=1)


def _layout(pixels: np.ndarray) -> str:
    """How light the picture is, and in which half it is brighter."""
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    mean = float(luma.mean())
    light = _LIGHT["dark" if mean < DARK else "bright" if mean > BRIGHT else "medium"]
    half_y, half_x = luma.shape[0] // 2, luma.shape[1] // 2
    steps = {
        "at the top": float(luma[:half_y].mean() - luma[half_y:].mean()),
        "on the left": float(luma[:, :half_x].mean() - luma[:, half_x:].mean()),
    }
    steps |= {"at the bottom": -steps["at the top"], "on the right": -steps["on the left"]}
    side = max(steps, key=lambda name: steps[name])
    if steps[side] < LIGHT_STEP:
        return f"It is {light} and evenly lit."
    return f"It is {light} and brighter {side}."


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
