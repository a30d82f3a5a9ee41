"""A sample as token ids, labels and prepared images. The one place that knows `IGNORE_INDEX`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from depictqa.image import ImageGeometry
from depictqa.prompt import ImageSlot, Piece, PromptStyle, Text, render
from depictqa.sample import Sample, Slot, Task, Turn

IGNORE_INDEX = -100


@dataclass(frozen=True)
class ImageTokens:
    """How many stream tokens an image takes: one per patch, or `fixed` (a global feature, an abstractor's queries).

    A grid is (rows, columns) of patches: numbers, or arrays for many images at once.
    """

    fixed: int | None = None

    def __call__(self, grid: tuple[Any, Any]) -> Any:
        return grid[0] * grid[1] if self.fixed is None else self.fixed


@dataclass
class Encoded:
    """One sample's stream. `ids` is 0 at image tokens; an image's tokens start at `image_starts[i]`.

    `pixels[i]` is uint8 [H, W, 3]; `image_lengths[i]` its number of tokens.
    """

    key: str
    ids: torch.Tensor  # [T] int64
    labels: torch.Tensor  # [T] int64, IGNORE_INDEX where the model is not to answer
    pixels: list[np.ndarray] = field(default_factory=list)
    image_starts: list[int] = field(default_factory=list)
    image_lengths: list[int] = field(default_factory=list)
    hidden: torch.Tensor | None = None  # [T] bool, tokens that nobody attends to (official.py's training quirk)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_supervised(self) -> int:
        return int((self.labels != IGNORE_INDEX).sum())


@dataclass
class Encoder:
    """Samples to streams. Plain and picklable, so that loader workers can carry it.

    `tokenizer` is a transformers tokenizer with `bos_token_id`; `tokenize` overrides how it cuts a text;
    `max_text_tokens` cuts all that follows the last image: question and answer.
    """

    tokenizer: Any
    style: PromptStyle
    geometry: ImageGeometry
    image_tokens: Callable[[tuple[Any, Any]], Any] = field(default_factory=ImageTokens)
    max_text_tokens: int = 512
    tokenize: Callable[[str], list[int]] | None = None
    _cache: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> dict[Slot, np.ndarray]:
        """A sample's images as the vision tower takes them; with `rng` they get the random crop of training."""
        return {slot: self.geometry.prepare(image, rng) for slot, image in sample.images.items()}

    def image_length(self, pixels: np.ndarray) -> int:
        """Stream tokens of a prepared image, uint8 [H, W, 3]."""
        patch = self.geometry.patch
        return self.image_tokens((pixels.shape[0] // patch, pixels.shape[1] // patch))

    def encode(
        self,
        sample: Sample,
        rng: np.random.Generator | None = None,
        pixels: Mapping[Slot, np.ndarray] | None = None,
    ) -> Encoded:
        """One sample; with `rng` its images get the random crop of training. `pixels` are its images where `prepare`
        has been at work already: they recur in many samples, or under many answers."""
        pieces = render(sample.task, sample.images.keys(), sample.dialogue, self.style)
        pixels = self.prepare(sample, rng) if pixels is None else pixels
        encoded = Encoded(sample.key, torch.empty(0), torch.empty(0))
        ids: list[int] = [self.tokenizer.bos_token_id]
        labels: list[int] = [IGNORE_INDEX]
        for piece, tokens in self._tokens(pieces):
            if isinstance(piece, ImageSlot):
                length = self.image_length(pixels[piece.slot])
                encoded.pixels.append(pixels[piece.slot])
                encoded.image_starts.append(len(ids))
                encoded.image_lengths.append(length)
                ids += [0] * length
                labels += [IGNORE_INDEX] * length
            else:
                ids += tokens
                labels += tokens if piece.supervised else [IGNORE_INDEX] * len(tokens)
        # By way of numpy, which takes a list ten times as fast.
        encoded.ids, encoded.labels = (torch.from_numpy(np.array(numbers, np.int64)) for numbers in (ids, labels))
        return encoded

    def length(self, task: Task, slots: Mapping[Slot, tuple[int, int]], dialogue: Sequence[Turn]) -> int:
        """Stream tokens of a sample whose images are (width, height), without decoding them.

        The random crop of training can only shorten this.
        """
        images = sum(self.image_tokens(self.geometry.grid(size)) for size in slots.values())
        return self.text_length(task, slots, dialogue) + images

    def text_length(self, task: Task, slots: Collection[Slot], dialogue: Sequence[Turn]) -> int:
        """Stream tokens of a sample that are no image's."""
        pieces = render(task, slots, dialogue, self.style)
        return 1 + sum(len(tokens) for _, tokens in self._tokens(pieces))

    def leaves_answer(self, task: Task, slots: Collection[Slot], dialogue: Sequence[Turn]) -> bool:
        """Whether some of the answer is left where `max_text_tokens` cuts."""
        pieces = self._tokens(render(task, slots, dialogue, self.style))
        return any(isinstance(piece, Text) and piece.supervised and tokens for piece, tokens in pieces)

    def image_lengths(self, sides: np.ndarray, ratios: np.ndarray | None = None) -> np.ndarray:
        """[..., 2] (width, height) of scaled images -> [...] their stream tokens; with `ratios` [..., 2] after that
        random crop of training."""
        patches = self.geometry.patches(sides if ratios is None else self.geometry.cropped(sides, ratios))
        return np.broadcast_to(self.image_tokens((patches[..., 1], patches[..., 0])), patches.shape[:-1])

    def _tokens(self, pieces: Sequence[Piece]) -> list[tuple[Piece, list[int]]]:
        """Each piece with its token ids; what follows the last image is cut at `max_text_tokens`."""
        last_image = max(index for index, piece in enumerate(pieces) if isinstance(piece, ImageSlot))
        room = self.max_text_tokens
        out: list[tuple[Piece, list[int]]] = []
        for index, piece in enumerate(pieces):
            tokens = self._tokenize(piece.text) if isinstance(piece, Text) else []
            if index > last_image:
                tokens = tokens[:room]
                room -= len(tokens)
            out.append((piece, tokens))
        return out

    def _tokenize(self, text: str) -> list[int]:
        # The few openings and questions recur in every sample; answers mostly do not, but are short.
        tokens = self._cache.get(text)
        if tokens is None:
            if self.tokenize is not None:
                tokens = self.tokenize(text)
            else:
                tokens = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            if len(self._cache) < 20_000:
                self._cache[text] = tokens
        return tokens

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}
