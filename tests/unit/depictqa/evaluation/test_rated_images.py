"""Pairs and single images of references: opened late, once, and only where they can be."""

from __future__ import annotations

import pytest
from PIL import Image

from depictqa.evaluation.rated_images import RatedGroup, RatedImage, pairs, singles
from depictqa.sample import Slot, Task


class Opened:
    """Counts how often each file is opened; those named `bad...` cannot be."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def group(self, reference: str, *names: str) -> RatedGroup:
        images = tuple(RatedImage(name, float(n), lambda name=name: self.open(name)) for n, name in enumerate(names))
        return RatedGroup(reference, images, (lambda: self.open(reference)) if reference else None)

    def open(self, name: str) -> Image.Image:
        self.names.append(name)
        if name.startswith("bad"):
            raise ValueError(f"image '{name}' cannot be decoded")
        return Image.new("RGB", (len(name), 9))


def test_all_pairs_of_each_reference_with_and_without_it():
    opened = Opened()
    samples = pairs([opened.group("r", "aa", "bbb", "cccc"), opened.group("s", "d", "ee")])
    keys = [samples.entry(index).key for index in range(len(samples))]
    three = ["aa|bbb", "aa|cccc", "bbb|cccc"]
    assert keys == [f"{k}|with" for k in three] + [f"{k}|without" for k in three] + ["d|ee|with", "d|ee|without"]
    assert opened.names == []
    for index, sample in enumerate(samples):
        seen = samples.entry(index)
        assert (sample.key, sample.task, sample.truth, sample.dialogue) == (
            seen.key, Task.COMPARISON, seen.truth, seen.dialogue
        )  # fmt: skip
        assert list(sample.images) == list(seen.slots) and sample.full_reference == seen.full_reference
    assert opened.names == ["r", "aa", "bbb", "cccc", "s", "d", "ee"]
    second = samples[1]
    assert {slot: image.width for slot, image in second.images.items()} == {Slot.REFERENCE: 1, Slot.A: 2, Slot.B: 4}
    assert second.truth.mos == {Slot.A: 0.0, Slot.B: 2.0}
    assert second.truth.names == {Slot.REFERENCE: "r", Slot.A: "aa", Slot.B: "cccc"}
    assert samples[4].truth.names[Slot.REFERENCE] == "r" and not samples[4].full_reference
    assert [one.key for one in samples[6:]] == keys[6:]
    with pytest.raises(IndexError):
        samples[8]


def test_an_image_that_cannot_be_read_is_tried_once():
    opened = Opened()
    samples = pairs([opened.group("r", "a", "bad", "c")], references=[False])
    for index in (0, 2, 0):
        with pytest.raises(ValueError, match="'bad' cannot be decoded"):
            samples[index]
    assert samples[1].key == "a|c|without"
    assert list(samples.opened.readable(samples.groups[0])) == [0, 2]
    assert opened.names.count("bad") == 1 and "r" not in opened.names


def test_single_images_with_and_without_a_reference():
    opened = Opened()
    samples = singles([opened.group("r", "a", "b"), opened.group("", "photo")])
    assert [one.key for one in samples] == ["a|with", "b|with", "a|without", "b|without", "photo|without"]
    assert all(one.task is Task.ASSESSMENT and Slot.B not in one.images for one in samples)
    assert samples[4].truth.names == {Slot.A: "photo"} and samples[1].truth.mos == {Slot.A: 1.0}
