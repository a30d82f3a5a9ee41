"""All pairs of a reference's images put to the vote: what the pairs share goes through the language model once.

The streams of pairs begin alike: system text and reference in all of them, then image A in all that have the same A.
Keys and values of these beginnings are computed once; what is left for each pair is image B, the question and "Image".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from depictqa.assess import BRIEF
from depictqa.batch import collate
from depictqa.encode import IGNORE_INDEX, Encoded, Encoder
from depictqa.metrics.votes import Vote
from depictqa.sample import Sample, Slot, Task, Turn
from depictqa.scoring import ANSWERS, common_length, stream_to_fork

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA


@dataclass(frozen=True)
class Branch:
    """The pairs of one image A. Streams are codes as in `VotingPlan`."""

    first: int
    seconds: list[int]
    shared: torch.Tensor  # [T] what follows `VotingPlan.shared` in all of them
    ends: list[torch.Tensor]  # [T_b] what is left of each pair, by B
    letters: list[list[int]]  # the tokens of "A" and "B" after it


@dataclass(frozen=True)
class VotingPlan:
    """What is run for one reference. A stream is int64 codes: a token's id, or -1 - r for row r of all images' tokens.

    `pixels` are the prepared images, the reference last where there is one; their tokens are numbered in this order.
    """

    pixels: list[np.ndarray]
    shared: torch.Tensor  # [T] the beginning of all pairs
    branches: list[Branch]

    @property
    def num_pairs(self) -> int:
        return sum(len(branch.ends) for branch in self.branches)

    @property
    def num_tokens(self) -> int:
        """That the language model reads; padding, which stands where images differ in size, does not count."""
        branches = sum(len(branch.shared) + sum(map(len, branch.ends)) for branch in self.branches)
        return len(self.shared) + branches

    def groups(self, size: int) -> Iterator[list[Branch]]:
        """Up to `size` branches whose shared part is of one length, so that they need no padding."""
        by_length: dict[int, list[Branch]] = {}
        for branch in self.branches:
            by_length.setdefault(len(branch.shared), []).append(branch)
        for alike in by_length.values():
            yield from (alike[start : start + size] for start in range(0, len(alike), size))

    @property
    def num_unshared_tokens(self) -> int:
        """That it would read if each pair were asked on its own."""
        before = len(self.shared)
        return sum(before + len(branch.shared) + len(end) for branch in self.branches for end in branch.ends)


def plan_votes(
    encoder: Encoder,
    images: Sequence[Image.Image],
    reference: Image.Image | None = None,
    question: str = BRIEF,
    both_orders: bool = False,
) -> VotingPlan:
    """All pairs i < j of `images` as A and B, with `both_orders` also as B and A.

    Where the streams part is read off the streams. Raises ValueError for fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"voting needs two images or more, got {len(images)}; give the images of one reference")
    given = [*images] if reference is None else [*images, reference]
    pixels = [encoder.geometry.prepare(image) for image in given]
    rows = [0, *accumulate(encoder.image_length(array) for array in pixels)]
    branches = []
    first_image = 0  # where image A begins, in all streams
    for first in range(len(images)):
        seconds = [other for other in range(len(images)) if other > first or (both_orders and other != first)]
        streams, letters, second_image = [], [], 0
        for second in seconds:
            chosen = {Slot.REFERENCE: len(images)} if reference is not None else {}
            chosen |= {Slot.A: first, Slot.B: second}
            sample = Sample("", Task.COMPARISON, {s: given[n] for s, n in chosen.items()}, (Turn(question),))
            encoded, tokens = stream_to_fork(encoder, sample, ANSWERS, {s: pixels[n] for s, n in chosen.items()})
            streams.append(_codes(encoded, [rows[number] for number in chosen.values()]))
            letters.append(tokens)
            first_image, second_image = encoded.image_starts[-2:]
        if seconds:
            length = common_length(streams, second_image)
            ends = [stream[length:].clone() for stream in streams]
            branches.append(Branch(first, seconds, streams[0][:length].clone(), ends, letters))
    length = common_length([branch.shared for branch in branches], first_image)
    shared = branches[0].shared[:length].clone()
    return VotingPlan(pixels, shared, [replace(branch, shared=branch.shared[length:]) for branch in branches])


def _codes(encoded: Encoded, first_rows: Sequence[int]) -> torch.Tensor:
    codes = encoded.ids.clone()
    for start, length, row in zip(encoded.image_starts, encoded.image_lengths, first_rows, strict=True):
        codes[start : start + length] = -1 - torch.arange(row, row + length)
    return codes


@torch.inference_mode()
def run_votes(model: DepictQA, plan: VotingPlan, batch_size: int = 16) -> torch.Tensor:
    """[N, N] float32 on the CPU: probability of "A" where image i stands as A and j as B, NaN where that is not asked.

    Each equals `depictqa.scoring.probability_of_a` of that pair alone. At most `batch_size` pairs, images,
    or images A with their keys and values, are in work at a time.
    """
    training = model.training
    model.eval()
    try:
        return _run(model, plan, batch_size)
    finally:
        model.train(training)


def _run(model: DepictQA, plan: VotingPlan, batch_size: int) -> torch.Tensor:
    count = 1 + max(max(branch.seconds) for branch in plan.branches)
    shares = torch.full((count, count), float("nan"))
    features = _features(model, plan.pixels, batch_size)
    shared = _extended(model, features, DynamicCache(), plan.shared[None])
    for group in plan.groups(batch_size):
        cache = _extended(model, features, shared, torch.stack([branch.shared for branch in group]))
        pairs = [(row, index) for row, branch in enumerate(group) for index in range(len(branch.ends))]
        pairs.sort(key=lambda pair: len(group[pair[0]].ends[pair[1]]))  # little padding
        for start in range(0, len(pairs), batch_size):
            chosen = pairs[start : start + batch_size]
            prefix = _Prefix(cache, torch.tensor([row for row, _ in chosen], device=model.device))
            logits = _last_logits(model, features, prefix, [group[row].ends[index] for row, index in chosen])
            letters = torch.tensor([group[row].letters[index] for row, index in chosen])
            firsts = [group[row].first for row, _ in chosen]
            seconds = [group[row].seconds[index] for row, index in chosen]
            shares[firsts, seconds] = logits.float().cpu().gather(1, letters).softmax(-1)[:, 0]
    return shares


def _features(model: DepictQA, pixels: Sequence[np.ndarray], batch_size: int) -> torch.Tensor:
    """[R, D]: projected features of all images, as `model.embed` puts them into a stream that is nothing else."""
    parts = []
    for start in range(0, len(pixels), batch_size):
        images = list(pixels[start : start + batch_size])
        lengths = [model.encoder.image_length(image) for image in images]
        ids = torch.zeros(sum(lengths), dtype=torch.int64)
        starts = [0, *accumulate(lengths[:-1])]
        stream = Encoded("", ids, torch.full_like(ids, IGNORE_INDEX), images, starts, lengths)
        parts.append(model.embed(collate([stream]).to(model.device))[0])
    return torch.cat(parts)


def _embed(model: DepictQA, features: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """[B, T] -> [B, T, D]"""
    codes = codes.to(model.device)
    embeds = model.language.embed(codes.clamp(min=0))
    images = codes < 0
    embeds[images] = features[-1 - codes[images]]
    return embeds


def _extended(model: DepictQA, features: torch.Tensor, cache: DynamicCache, codes: torch.Tensor) -> DynamicCache:
    """Keys and values of each row of `codes` [B, T] after the one row of `cache`, which stays as it is."""
    extended = DynamicCache()
    layers: list[Any] = [copy(layer) for layer in cache.layers]  # a layer that grows binds new tensors
    for layer in layers:
        layer.keys, layer.values = (kept.expand(len(codes), -1, -1, -1) for kept in (layer.keys, layer.values))
    extended.layers = layers
    start = cache.get_seq_length()
    positions = torch.arange(start, start + codes.shape[1], device=model.device).expand(len(codes), -1)
    no_rows = torch.empty(0, dtype=torch.int64, device=model.device)
    model.language(_embed(model, features, codes), no_rows, None, positions, extended)
    return extended


def _last_logits(
    model: DepictQA, features: torch.Tensor, prefix: _Prefix, ends: Sequence[torch.Tensor]
) -> torch.Tensor:
    """[B, V] after each of the streams that go on from `prefix`; shorter ones are padded on the right."""
    lengths = torch.tensor([len(end) for end in ends], device=model.device)
    codes = pad_sequence(list(ends), batch_first=True)
    size, width = codes.shape
    start = prefix.get_seq_length()
    columns = torch.arange(start + width, device=model.device)
    mask = None if int(lengths.min()) == width else columns < start + lengths[:, None]
    rows = torch.arange(size, device=model.device) * width + lengths - 1
    positions = columns[start:].expand(size, -1)
    return model.language(_embed(model, features, codes), rows, mask, positions, prefix)


class _Prefix(DynamicCache):
    """Before each row of a batch the keys and values of one of a cache's rows. What a forward adds is given back to it
    and not kept, so that beside the cache no more than one layer's are held at a time, and the next batch finds the
    cache as it was.
    """

    def __init__(self, cache: DynamicCache, rows: torch.Tensor):
        super().__init__()
        self.layers = cache.layers
        self.rows = rows  # [B]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        layer: Any = self.layers[layer_idx]
        keys = layer.keys[self.rows]
        values = layer.values[self.rows]
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


def all_pairs(
    model: DepictQA,
    images: Mapping[str, Image.Image],
    reference: Image.Image | None = None,
    question: str = BRIEF,
    both_orders: bool = False,
    batch_size: int = 16,
) -> list[Vote]:
    """Every pair of a reference's images put to the vote, for `depictqa.metrics.votes`; arguments as above."""
    shares = run_votes(
        model, plan_votes(model.encoder, list(images.values()), reference, question, both_orders), batch_size
    )
    names = list(images)
    asked = (~shares.isnan()).nonzero().tolist()
    return [Vote(names[first], names[second], float(shares[first, second])) for first, second in asked]
