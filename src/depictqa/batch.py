"""Streams of several samples as the tensors of one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from depictqa.encode import IGNORE_INDEX, Encoded


@dataclass
class Batch:
    """B samples padded to T tokens, their images grouped by size.

    `pixels` holds one uint8 [N, 3, H, W] per image size; features of all groups, flattened in that order to [R, D],
    go into the stream at flat positions `image_positions` [P] (into B*T) from rows `image_rows` [P] (into R), so an
    image that stands in several samples is encoded once.
    """

    ids: torch.Tensor  # [B, T] int64, 0 at image and padding tokens
    labels: torch.Tensor  # [B, T] int64, IGNORE_INDEX where not supervised
    weights: torch.Tensor  # [B, T] float32: of each supervised token in the loss, else 0
    positions: torch.Tensor  # [B, T] int64, from 0 in each sample
    segments: torch.Tensor  # [B, T] int64: 1 + number of the sample in the batch, 0 for padding
    pixels: list[torch.Tensor]
    image_positions: torch.Tensor  # [P] int64
    image_rows: torch.Tensor  # [P] int64
    keys: list[str]
    hidden: torch.Tensor | None = None  # [B, T] bool, tokens nobody attends to; None = all are seen

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

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
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
    denominator = len(encoded) if denominator is None else denominator
    rows, width = len(encoded), max(len(item) for item in encoded)
    batch = Batch(
        ids=torch.zeros(rows, width, dtype=torch.int64),
        labels=torch.full((rows, width), IGNORE_INDEX),
        weights=torch.zeros(rows, width),
        positions=torch.zeros(rows, width, dtype=torch.int64),
        segments=torch.zeros(rows, width, dtype=torch.int64),
        pixels=[],
        image_positions=torch.empty(0, dtype=torch.int64),
        image_rows=torch.empty(0, dtype=torch.int64),
        keys=[item.key for item in encoded],
    )
    offsets = []
    for row, item in enumerate(encoded):
        start = width - len(item) if left else 0
        span = slice(start, start + len(item))
        offsets.append(row * width + start)
        batch.ids[row, span] = item.ids
        batch.labels[row, span] = item.labels
        batch.positions[row, span] = torch.arange(len(item))
        batch.segments[row, span] = row + 1
        if item.num_supervised:
            batch.weights[row, span] = (item.labels != IGNORE_INDEX) / (item.num_supervised * denominator)
        if item.hidden is not None:
            batch.hidden = torch.zeros(rows, width, dtype=torch.bool) if batch.hidden is None else batch.hidden
            batch.hidden[row, span] = item.hidden
    _place_images(batch, encoded, offsets)
    return batch


def _place_images(batch: Batch, encoded: Sequence[Encoded], offsets: Sequence[int]) -> None:
    """Fill `pixels`, `image_positions` and `image_rows`; equal images are kept once."""
    groups: dict[tuple[int, int], dict[bytes, tuple[np.ndarray, int]]] = {}
    for item in encoded:
        for pixels, length in zip(item.pixels, item.image_lengths, strict=True):
            groups.setdefault(pixels.shape[:2], {}).setdefault(pixels.tobytes(), (pixels, length))
    first_row: dict[tuple[tuple[int, int], bytes], int] = {}
    row = 0
    for size, images in groups.items():
        for data, (_, length) in images.items():
            first_row[size, data] = row
            row += length
        stacked = np.stack([pixels for pixels, _ in images.values()])
        batch.pixels.append(torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous())
    positions, rows = [], []
    for item, offset in zip(encoded, offsets, strict=True):
        for pixels, start, length in zip(item.pixels, item.image_starts, item.image_lengths, strict=True):
            positions.append(torch.arange(length) + offset + start)
            rows.append(torch.arange(length) + first_row[pixels.shape[:2], pixels.tobytes()])
    if positions:
        batch.image_positions, batch.image_rows = torch.cat(positions), torch.cat(rows)
