"""How long samples' streams are, before anything is decoded: whole, and as each draw's random crop will leave them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.indexed import Entry
from depictqa.encode import Encoder
from depictqa.sample import Slot


@dataclass(frozen=True)
class StreamLengths:
    """Of samples laid end to end. A crop is drawn from (seed, epoch, position) as the loader draws it."""

    encoder: Encoder
    text: np.ndarray  # [samples] tokens that are no image's
    sides: np.ndarray  # [samples, slots, 2] (width, height) of the scaled images, in the order they are prepared in
    images: np.ndarray  # [samples] how many of them there are

    @classmethod
    def measure(cls, entries: Iterable[Entry], encoder: Encoder) -> StreamLengths:
        text: list[int] = []
        sides: list[list[tuple[int, int]]] = []
        for entry in entries:
            text.append(encoder.text_length(entry.task, entry.slots, entry.dialogue))
            sides.append([encoder.geometry.resized(size) for size in entry.slots.values()])
        filled = np.zeros((len(text), len(Slot), 2), dtype=np.int64)
        for row, given in zip(filled, sides, strict=True):
            row[: len(given)] = given
        return cls(encoder, np.array(text), filled, np.array([len(given) for given in sides]))

    @classmethod
    def joined(cls, parts: Sequence[StreamLengths]) -> StreamLengths:
        text, sides, images = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("text", "sides", "images")
        )
        return cls(parts[0].encoder, text, sides, images)

    @property
    def whole(self) -> np.ndarray:
        """[samples] without a crop, which can only shorten a stream."""
        return self.text + self._image_tokens(np.arange(len(self.text)), None)

    def drawn(self, seed: int, epoch: int, order: np.ndarray) -> np.ndarray:
        """[draws] with the crop of each: `order` [draws] are the samples by position."""
        geometry = self.encoder.geometry
        ratios = np.ones((len(order), self.sides.shape[1], 2))
        for position, (row, count) in enumerate(zip(ratios, self.images[order], strict=True)):
            rng = np.random.default_rng([seed, epoch, position])
            row[:count] = rng.uniform(geometry.crop_min, 1.0, size=(count, 2))
        return self.text[order] + self._image_tokens(order, ratios)

    def _image_tokens(self, samples: np.ndarray, ratios: np.ndarray | None) -> np.ndarray:
        there = np.arange(self.sides.shape[1]) < self.images[samples, None]
        return (self.encoder.image_lengths(self.sides[samples], ratios) * there).sum(1)
