"""Streams of several samples as the tensors of one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from depictqa.encode import IGNORE_INDEX, Encoded

NUM_BOUNDS = 32  # segments of a pack are counted up to a multiple of this, so that graphs of few shapes serve all packs
LENGTH_STEP = 64  # ... and tokens of a pack whose length is not given


@dataclass
class Batch:
    """B samples padded to T tokens each, or laid end to end in one row of T; their images grouped by size.

    `pixels` holds one uint8 [N, 3, H, W] per image size; features of all groups, flattened in that order to [R, D],
    go into the stream at flat positions `image_positions` [P] (into B*T) from rows `image_rows` [P] (into R), so an
    image that stands in several samples is encoded once. `supervised` [S] are the flat positions of the tokens with a
    label, found here and not on the device, which would have to be waited for.

    In one row, segment n is tokens `bounds[n]` to `bounds[n + 1]`, at most `longest`: the samples, then the padding in
    pieces, then empty segments.
    """

    ids: torch.Tensor  # [B, T] int64, 0 at image and padding tokens
    labels: torch.Tensor  # [B, T] int64, IGNORE_INDEX where not supervised
    weights: torch.Tensor  # [B, T] float32: of each supervised token in the loss, else 0
    positions: torch.Tensor  # [B, T] int64, from 0 in each sample
    segments: torch.Tensor  # [B, T] int64: 1 + number of the sample in the batch, 0 for padding
    pixels: list[torch.Tensor]
    image_positions: torch.Tensor  # [P] int64
    image_rows: torch.Tensor  # [P] int64
    supervised: torch.Tensor  # [S] int64
    keys: list[str]
    hidden: torch.Tensor | None = None  # [B, T] bool, tokens nobody attends to; None = all are seen
    bounds: torch.Tensor | None = None  # [N + 1] int32, of a pack; None where each sample has a row of its own
    longest: int = 0  # tokens of a pack's segments at most

    @property
    def num_samples(self) -> int:
        return len(self.keys)

    @property
    def num_tokens(self) -> int:
        """Padding included: what the step computes on."""
        return self.ids.numel()

    @property
    def left_padded(self) -> bool:
        return bool((self.segments[:, 0] == 0).any())

    def to(self, device: torch.device | str, non_blocking: bool | None = None) -> Batch:
        """By default, nobody waits for a copy to a GPU (Lightning would, for what is no tensor)."""
        non_blocking = torch.device(device).type == "cuda" if non_blocking is None else non_blocking
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, function: Any) -> Batch:
        changed: dict[str, Any] = {"pixels": [function(group) for group in self.pixels]}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, torch.Tensor):
                changed[item.name] = function(value)
        return replace(self, **changed)


def collate(encoded: Sequence[Encoded], denominator: float | None = None, left: bool = False) -> Batch:
    """Pad streams to one length, on the right (training) or `left` (generation), and group their images by size.

    A supervised token weighs 1 / (supervised tokens of its sample * `denominator`), so that the weighted sum of
    token losses is the mean of the samples' own token means; `denominator` (default: the number of samples) is larger
    or smaller where a step spreads over several batches. A sample cut before its answer weighs nothing.
    """
    assert encoded, "a batch needs at least one sample"
    width = max(len(item) for item in encoded)
    offsets = [row * width + (width - len(item) if left else 0) for row, item in enumerate(encoded)]
    return _filled(encoded, offsets, (len(encoded), width), denominator)


def pack(
    encoded: Sequence[Encoded], denominator: float | None = None, length: int | None = None, longest: int | None = None
) -> Batch:
    """Lay streams end to end in one row of `length` tokens, or of as few as they need; weights as in `collate`.

    Segments do not see each other (`depictqa.attention`). `longest` bounds a stream's tokens in all packs of a run,
    where one compiled graph is to serve them; default: the longest here. A row is longer than `length` only where the
    streams are.
    """
    assert encoded, "a pack needs at least one sample"
    if any(item.hidden is not None for item in encoded):
        raise ValueError("samples with hidden tokens cannot be packed; collate them")
    lengths = [len(item) for item in encoded]
    ends = np.cumsum(lengths).tolist()
    width = max(length or 0, _up(ends[-1], 1 if length else LENGTH_STEP))
    batch = _filled(encoded, [0, *ends[:-1]], (1, width), denominator)
    batch.longest = max(longest or 0, *lengths)
    padding = range(ends[-1] + batch.longest, width + batch.longest, batch.longest)
    bounds = [0, *ends, *(min(end, width) for end in padding)]
    bounds += [width] * (_up(len(bounds) - 1, NUM_BOUNDS) + 1 - len(bounds))
    batch.bounds = torch.tensor(bounds, dtype=torch.int32)
    return batch


def _filled(
    encoded: Sequence[Encoded], offsets: Sequence[int], shape: tuple[int, int], denominator: float | None
) -> Batch:
    """A batch of `shape` [B, T] with each stream at its flat offset."""
    denominator = len(encoded) if denominator is None else denominator
    batch = Batch(
        ids=torch.zeros(shape, dtype=torch.int64),
        labels=torch.full(shape, IGNORE_INDEX),
        weights=torch.zeros(shape),
        positions=torch.zeros(shape, dtype=torch.int64),
        segments=torch.zeros(shape, dtype=torch.int64),
        pixels=[],
        image_positions=torch.empty(0, dtype=torch.int64),
        image_rows=torch.empty(0, dtype=torch.int64),
        supervised=torch.empty(0, dtype=torch.int64),
        keys=[item.key for item in encoded],
    )
    for number, (item, start) in enumerate(zip(encoded, offsets, strict=True)):
        span = slice(start, start + len(item))
        batch.ids.view(-1)[span] = item.ids
        batch.labels.view(-1)[span] = item.labels
        batch.positions.view(-1)[span] = torch.arange(len(item))
        batch.segments.view(-1)[span] = number + 1
        if item.num_supervised:
            batch.weights.view(-1)[span] = (item.labels != IGNORE_INDEX) / (item.num_supervised * denominator)
        if item.hidden is not None:
            batch.hidden = torch.zeros(shape, dtype=torch.bool) if batch.hidden is None else batch.hidden
            batch.hidden.view(-1)[span] = item.hidden
    # A stream's first token has no position before it that could predict it.
    batch.supervised = ((batch.labels != IGNORE_INDEX) & (batch.positions > 0)).view(-1).nonzero()[:, 0]
    _place_images(batch, encoded, offsets)
    return batch


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _place_images(batch: Batch, encoded: Sequence[Encoded], offsets: Sequence[int]) -> None:
    """Fill `pixels`, `image_positions` and `image_rows`; equal images are kept once."""
    groups: dict[tuple[int, ...], _Group] = {}
    placed: list[tuple[_Group, int, int, int]] = []  # group, number in it, first position, tokens
    for item, offset in zip(encoded, offsets, strict=True):
        for pixels, start, length in zip(item.pixels, item.image_starts, item.image_lengths, strict=True):
            group = groups.setdefault(pixels.shape[:2], _Group(length))
            placed.append((group, group.number(pixels), offset + start, length))
    row = 0
    for group in groups.values():
        group.first_row = row
        row += len(group.images) * group.length
        # Channels stay last in memory: to put them first is slow here, and no work where the vision tower is.
        batch.pixels.append(torch.from_numpy(np.stack(group.images)).permute(0, 3, 1, 2))
    if placed:
        batch.image_positions = torch.cat([torch.arange(length) + start for _, _, start, length in placed])
        firsts = [group.first_row + number * length for group, number, _, length in placed]
        batch.image_rows = torch.cat(
            [torch.arange(length) + first for first, (*_, length) in zip(firsts, placed, strict=True)]
        )


class _Group:
    """Images of one size, each of `length` tokens. They are compared where a few of their bytes agree, which is faster
    than to hash them whole."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.first_row = 0
        self.images: list[np.ndarray] = []
        self._alike: dict[bytes, list[int]] = {}

    def number(self, pixels: np.ndarray) -> int:
        alike = self._alike.setdefault(pixels.reshape(-1)[::97].tobytes(), [])
        for number in alike:
            if np.array_equal(self.images[number], pixels):
                return number
        alike.append(len(self.images))
        self.images.append(pixels)
        return alike[-1]
