"""Some 270 answers as different models word them, each with what it says: `preference_sentences.tsv`."""

from __future__ import annotations

from pathlib import Path

import pytest

from depictqa.parsing import parse_preference

LINES = [
    line.split("\t")
    for line in Path(__file__).with_name("preference_sentences.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def read(text: str) -> str:
    found = parse_preference(text.replace("\\n", "\n"))
    if not found.parsed:
        return "none"
    return "tie" if found.better is None else str(found.better)


def test_the_sentences_are_many_and_differ() -> None:
    assert len(LINES) > 250
    assert len({text for _, text in LINES}) == len(LINES)
    assert {label for label, _ in LINES} == {"a", "b", "tie", "none", "~a", "~b"}
    assert sum(label.startswith("~") for label, _ in LINES) <= 3


@pytest.mark.parametrize(("label", "text"), LINES)
def test_a_sentence_is_read_as_people_read_it(label: str, text: str) -> None:
    assert read(text) == ("none" if label.startswith("~") else label)
