"""Annotations of which the server can tell one from another, and texts that are true of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datamodules.annotations import Annotation, write_annotations
from datamodules.writers import rules
from depictqa.questionnaire import FIELDS, Level, Overall, Questionnaire
from depictqa.sample import Slot, Truth


def _annotations(count: int) -> list[Annotation]:
    """Every third of a pair; the texture names the item, so that the server knows which one it is asked about."""
    rng = np.random.default_rng(count)

    def form(number: int) -> Questionnaire:
        levels = {name: Level(rng.choice(list(Level))) for name in FIELDS}
        return Questionnaire(**levels, overall=Overall(rng.choice(list(Overall))), texture=f"item {number}")

    found = []
    for number in range(count):
        slots = (Slot.A, Slot.B) if number % 3 == 2 else (Slot.A,)
        better = Slot.B if len(slots) == 2 else None
        images = {slot: f"{slot}.png" for slot in slots}
        forms = {slot: form(number) for slot in slots}
        found.append(Annotation(f"{number:06d}", "ada", images, forms, better))
    return found


@pytest.fixture(scope="session")
def annotations() -> Callable[[int], list[Annotation]]:
    return _annotations


@pytest.fixture(scope="session")
def true_text() -> Callable[[Annotation], str]:
    """A text in which the parser finds every field as the form states it."""

    def text(annotation: Annotation) -> str:
        truth, rng = Truth(better=annotation.better, questionnaires=annotation.forms), np.random.default_rng(0)
        return rules.reason(truth, rng) if annotation.is_pair else rules.describe(truth, rng)

    return text


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[int], Path]:
    """A file of so many annotations."""

    def write(count: int) -> Path:
        write_annotations(tmp_path / "annotations.jsonl", _annotations(count))
        return tmp_path / "annotations.jsonl"

    return write
