"""Which samples go into which optimizer step, micro-batch and rank: functions of numbers, before any reading.

Order and membership of a step depend on (seed, epoch) alone. Ranks and workers only share a step's
micro-batches out, so any number of them trains on the same steps, and a run resumes at any of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from datamodules.packing import fewest_level, level

Fingerprint = dict[str, int | str | list[int]]


class Draw(NamedTuple):
    """One use of a sample: its place in the epoch, which seeds its crop, and its number in the sources."""

    position: int
    sample: int


def epoch_order(sizes: Sequence[int], repeats: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """[draws]: sample numbers over all sources laid end to end, each source `repeat` times, shuffled.

    A repeat is a list repeated before the shuffle, no sampling probability and no loss weight: the released
    recipe of DepictQA.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    drawn = [
        np.tile(np.arange(size) + start, repeat) for size, repeat, start in zip(sizes, repeats, starts, strict=True)
    ]
    return np.random.default_rng([seed, epoch]).permutation(np.concatenate(drawn))


def num_steps(draws: int, batch_size: int) -> int:
    """Optimizer steps of an epoch: the fewest of at most `batch_size` draws."""
    return max(1, -(-draws // batch_size))


def step_bounds(draws: int, steps: int, step: int) -> tuple[int, int]:
    """Where a step starts and ends in the epoch's order; sizes differ by one at most, larger ones first."""
    size, larger = divmod(draws, steps)
    start = step * size + min(step, larger)
    return start, start + size + (step < larger)


def fewest_bins(lengths: np.ndarray, token_budget: int) -> int:
    """Micro-batches that `lengths` [n], longest first, need when each pads to at most `token_budget`."""
    start = bins = 0
    while start < len(lengths):
        start += max(1, token_budget // int(lengths[start]))
        bins += 1
    return bins


def cut(lengths: np.ndarray, bins: int, token_budget: int) -> list[np.ndarray]:
    """`bins` index arrays that part `lengths` [n], of like lengths and near-equal padded size, largest first.

    The largest padded size is the least possible, so that ranks wait little for each other; it is over
    `token_budget` only where `bins` are too few. Empty arrays stand at the end where there are more bins than
    draws.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    low, high = int(ordered[0]), token_budget
    while fewest_bins(ordered, high) > bins:
        high *= 2
    while low < high:
        middle = (low + high) // 2
        if fewest_bins(ordered, middle) <= bins:
            high = middle
        else:
            low = middle + 1
    parts: list[tuple[int, int]] = []
    start = 0
    while start < len(ordered):
        stop = min(start + max(1, low // int(ordered[start])), len(ordered))
        parts.append((start, stop))
        start = stop
    while len(parts) < min(bins, len(ordered)):
        costs = [(stop - start > 1) * (stop - start) * int(ordered[start]) for start, stop in parts]
        start, stop = parts.pop(int(np.argmax(costs)))
        middle = (start + stop) // 2
        parts += [(start, middle), (middle, stop)]
    parts.sort(key=lambda part: (-(part[1] - part[0]) * int(ordered[part[0]]), part))
    assert len(parts) <= bins, "the budget is too small for that many bins"
    return [order[start:stop] for start, stop in parts] + [order[:0]] * (bins - len(parts))


@dataclass
class Plan:
    """The epochs of a run. `lengths` [samples] are stream tokens over all sources laid end to end, at most.

    A micro-batch holds at most `token_budget` tokens: padded ones, or with `packed` those of streams laid end to end.
    `drawn` tells the stream tokens of each draw of an epoch (epoch, order [draws]) -> [draws], where a random crop
    makes them fewer. `accumulate` is the smallest number of micro-batches a rank with which every step of `epochs`
    epochs fits; a step of a later epoch may pass the budget by the little that it must.
    """

    sizes: Sequence[int]
    repeats: Sequence[int]
    lengths: np.ndarray
    batch_size: int
    token_budget: int
    seed: int
    epochs: int = 1
    world_size: int = 1
    packed: bool = False
    drawn: Callable[[int, np.ndarray], np.ndarray] | None = None
    num_draws: int = field(init=False)
    num_steps: int = field(init=False)
    accumulate: int = field(init=False)
    pack_length: None = field(default=None, init=False)  # of a pack: that of its streams
    _made: tuple[int, np.ndarray, np.ndarray] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.num_draws = count_draws(self)
        self.num_steps = num_steps(self.num_draws, self.batch_size)
        if self.num_draws // self.num_steps < self.world_size:
            raise ValueError(
                f"{self.world_size} ranks but only {self.num_draws // self.num_steps} records a step (of "
                f"{self.num_draws} in all); use fewer ranks or raise data.batch_size"
            )
        needed = max(self._most_bins(epoch) for epoch in reversed(range(self.epochs)))  # the first is wanted next
        self.accumulate = -(-needed // self.world_size)

    @property
    def micro_batches(self) -> int:
        """Of one rank in one epoch."""
        return self.num_steps * self.accumulate

    def prepare(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """[draws] samples and [draws] lengths by position in an epoch; the last epoch's are kept, so that one call
        serves all workers that are forked after it."""
        if self._made is None or self._made[0] != epoch:
            self._made = (epoch, *measured(self, epoch))
        return self._made[1:]

    def draws(self, epoch: int, step: int) -> list[Draw]:
        """All draws of an optimizer step, over all ranks."""
        order, _ = self.prepare(epoch)
        start, stop = step_bounds(self.num_draws, self.num_steps, step)
        return [Draw(position, int(order[position])) for position in range(start, stop)]

    def micro_batch(self, epoch: int, number: int, rank: int) -> list[Draw]:
        """The draws of micro-batch `number` (0..micro_batches-1) of a rank; none where a step has too few."""
        step, part = divmod(number, self.accumulate)
        start, stop = step_bounds(self.num_draws, self.num_steps, step)
        lengths = self.prepare(epoch)[1][start:stop]
        num_bins = self.world_size * self.accumulate
        bins = level(lengths, num_bins) if self.packed else cut(lengths, num_bins, self.token_budget)
        draws = self.draws(epoch, step)
        return [draws[index] for index in bins[part * self.world_size + rank]]

    def denominator(self, number: int, epoch: int = 0) -> float:
        """What a micro-batch divides its samples' losses by.

        With it the mean over a step's micro-batches and ranks is the mean over the step's samples.
        """
        start, stop = step_bounds(self.num_draws, self.num_steps, number // self.accumulate)
        return (stop - start) / (self.world_size * self.accumulate)

    def fingerprint(self) -> Fingerprint:
        """What must agree for an optimizer step to have the same draws in another plan. Ranks, the token budget and
        whether streams are padded or laid end to end have no part in that."""
        return {"steps_of": "samples", **fingerprint(self)}

    def _most_bins(self, epoch: int) -> int:
        """The micro-batches that the fullest step of an epoch needs."""
        _, lengths = self.prepare(epoch)
        most = 0
        for step in range(self.num_steps):
            start, stop = step_bounds(self.num_draws, self.num_steps, step)
            if self.packed:
                most = max(most, fewest_level(lengths[start:stop], self.token_budget, self.world_size))
            else:
                most = max(most, fewest_bins(-np.sort(-lengths[start:stop]), self.token_budget))
        return most


class Recipe(Protocol):
    """What all plans are given."""

    sizes: Sequence[int]
    repeats: Sequence[int]
    lengths: np.ndarray
    batch_size: int
    token_budget: int
    seed: int
    epochs: int
    drawn: Callable[[int, np.ndarray], np.ndarray] | None
    num_draws: int


def measured(recipe: Recipe, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """[draws] samples and [draws] stream tokens by position in an epoch."""
    order = epoch_order(recipe.sizes, recipe.repeats, recipe.seed, epoch)
    return order, recipe.lengths[order] if recipe.drawn is None else recipe.drawn(epoch, order)


def count_draws(recipe: Recipe) -> int:
    """Of an epoch. ValueError where a setting makes no sense, where nothing is drawn, or a sample fits no budget."""
    assert len(recipe.lengths) == sum(recipe.sizes)
    for name in ("batch_size", "token_budget", "epochs"):
        _check_whole(getattr(recipe, name), 1, f"data.{name}", ", or auto" if name == "token_budget" else "")
    for repeat in recipe.repeats:
        _check_whole(repeat, 0, "a source's repeat (data.repeat, data.repeats)")
    draws = sum(size * repeat for size, repeat in zip(recipe.sizes, recipe.repeats, strict=True))
    if not draws:
        raise ValueError(
            "no samples to train on: every source is empty or repeated 0 times (data.repeats, scale.repeats)"
        )
    longest = int(recipe.lengths.max())
    if longest > recipe.token_budget:
        raise ValueError(
            f"the longest sample has {longest} tokens, over data.token_budget={recipe.token_budget}; raise it"
        )
    return draws


def fingerprint(recipe: Recipe) -> Fingerprint:
    """What the order of all plans depends on; the lengths stand for the data."""
    return {
        "sizes": [int(size) for size in recipe.sizes],
        "repeats": list(recipe.repeats),
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "lengths_crc32": zlib.crc32(np.ascontiguousarray(recipe.lengths, dtype=np.int64).tobytes()),
    }


def _check_whole(number: int, least: int, name: str, other: str = "") -> None:
    if not isinstance(number, int) or number < least:
        raise ValueError(f"{name} is {number}; give a whole number of at least {least}{other}")
