"""Which image an answer prefers, or why that cannot be said."""

from __future__ import annotations

import pytest

from depictqa.parsing import parse_preference

PREFERENCES = [
    ("Image A", "a"),
    ("image b", "b"),
    ("Image A.\n", "a"),
    ("**Image B**", "b"),
    ("A", "a"),
    ("(B)", "b"),
    ("Answer: A", "a"),
    ("The answer is Image B.", "b"),
    ("Option B", "b"),
    ("Image A is better than Image B.", "a"),
    ("Image B is worse than Image A.", "a"),
    ("I prefer A over B.", "a"),
    ("Image B has lower quality.", "a"),
    ("Image A is not as good as Image B.", "b"),
    ("Image A is not better than Image B.", "b"),
    ("The second image is of higher quality than the first image.", "b"),
    ("The quality of Image B is superior to that of Image A.", "b"),
    ("Compared to Image A, Image B has higher quality.", "b"),
    ("Between Image A and Image B, Image A is better.", "a"),
    ("The better image is Image B.", "b"),
    ("Image A suffers from severe blur, making it worse than Image B.", "b"),
    ("Image A is better because Image B has worse noise.", "a"),
    ("Image A is noisy. Image B is blurred. Hence, Image A is better.", "a"),
    ("Image A has more noise than Image B, so I prefer Image B.", "b"),
    # only distortions compared
    ("Image B has less noise.", "b"),
    ("A is blurrier than B.", "b"),
    ("Image A looks sharper.", "a"),
    ("They are equally good.", "tie"),
    ("Image A and Image B are of the same quality.", "tie"),
    ("Neither image is better.", "tie"),
]


@pytest.mark.parametrize(("text", "expected"), PREFERENCES)
def test_preferences(text: str, expected: str) -> None:
    found = parse_preference(text)
    assert found.parsed
    assert ("tie" if found.tie else found.better) == expected
    assert found.reason is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("It is hard to say.", "the answer names neither image"),
        ("Image C", "the answer names neither image"),
        ("Image A shows a cat and Image B shows a dog.", "the answer names an image but states no preference"),
    ],
)
def test_why_nothing_was_read(text: str, reason: str) -> None:
    found = parse_preference(text)
    assert not found.parsed
    assert found.better is None
    assert found.reason == reason


def test_images_swapped_swap_the_preference() -> None:
    for text, expected in PREFERENCES:
        if "first" in text or "second" in text:
            continue
        swapped = text.replace("A", "\0").replace("B", "A").replace("\0", "B")
        if swapped.startswith("Bnswer") or "image b" in text:
            continue
        found = parse_preference(swapped)
        expected = {"a": "b", "b": "a"}.get(expected, expected)
        assert ("tie" if found.tie else found.better) == expected, swapped
