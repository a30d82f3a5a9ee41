"""Steps of full packs: samples are packed by windows of draws, and a step takes a number of packs, not of samples.

As `datamodules.plan.Plan` in all that a loader asks for. The price of full packs is that steps differ a little in their
number of samples; their loss stays the mean over them.
"""

from __future__ import annotations

import heapq
import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, islice

import numpy as np

from datamodules.packing import WINDOW, even_packs, packing_efficiency, windows
from datamodules.plan import Draw, Fingerprint, count_draws, fingerprint, measured

log = logging.getLogger(__name__)

STEP = 64  # a fitted pack length is a multiple of it
TRIED = 20  # windows from which a fitted pack length is found


@dataclass
class WindowPlan:
    """The epochs of a run; arguments as in `Plan`. A step has `batch_size` samples on average.

    All packs have `pack_length` tokens and a step has `packs_a_step` of them. Where the length is not given it is the
    largest, up to `token_budget`, with which a step has a power of two of packs: the usual numbers of ranks share them
    out evenly. Others get some packs without weight. Which samples share a step depends on (seed, epoch) and on these
    two numbers, and they on no rank; all epochs have the steps of the longest one.
    """

    sizes: Sequence[int]
    repeats: Sequence[int]
    lengths: np.ndarray
    batch_size: int
    token_budget: int
    seed: int
    epochs: int = 1
    world_size: int = 1
    drawn: Callable[[int, np.ndarray], np.ndarray] | None = None
    pack_length: int | None = None
    window: int = WINDOW
    num_draws: int = field(init=False)
    num_steps: int = field(init=False)
    packs_a_step: int = field(init=False)
    accumulate: int = field(init=False)
    fullness: float = field(init=False)  # share of the first epoch's tokens that are no padding
    packed: bool = field(default=True, init=False)
    _crc: int = field(init=False, repr=False)
    _lengths: tuple[int, np.ndarray, np.ndarray] | None = field(default=None, init=False, repr=False)
    _made: tuple[int, np.ndarray, list[np.ndarray]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.num_draws = count_draws(self)
        _, lengths = self._measured(0)
        self.pack_length, self.packs_a_step = self._fit(lengths)
        self.accumulate = -(-self.packs_a_step // self.world_size)
        self._check_ranks()
        # From the last epoch to the first, which is the one that is wanted next.
        packs = [len(self._packs(self._measured(epoch)[1])) for epoch in reversed(range(self.epochs))]
        self.num_steps = -(-max(packs) // self.packs_a_step)
        self.fullness = float(lengths.sum()) / (self.num_steps * self.packs_a_step * self.pack_length)
        self._crc = zlib.crc32(np.array([self.num_steps, self.window, *lengths], dtype=np.int64).tobytes())
        log.info(
            "steps of %d packs of %d tokens, %.3f full, with %.1f samples on average",
            self.packs_a_step,
            self.pack_length,
            self.fullness,
            self.num_draws / self.num_steps,
        )

    @property
    def micro_batches(self) -> int:
        """Of one rank in one epoch."""
        return self.num_steps * self.accumulate

    def prepare(self, epoch: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """[draws] samples by position, and the positions in each pack, of as many packs as all epochs have; the last
        epoch's are kept, so that one call serves all workers that are forked after it."""
        if self._made is None or self._made[0] != epoch:
            order, lengths = self._measured(epoch)
            packs = spread(self._packs(lengths), self.num_steps * self.packs_a_step)
            shuffled = np.random.default_rng([self.seed, epoch, len(packs)]).permutation(len(packs))
            self._made = (epoch, order, [packs[index] for index in shuffled])
        return self._made[1:]

    def draws(self, epoch: int, step: int) -> list[Draw]:
        """All draws of an optimizer step, over all ranks."""
        order, _ = self.prepare(epoch)
        return [Draw(int(at), int(order[at])) for pack in self._step(epoch, step) for at in pack]

    def micro_batch(self, epoch: int, number: int, rank: int) -> list[Draw]:
        """The draws of micro-batch `number` (0..micro_batches-1) of a rank; none where a step or epoch has too few."""
        step, part = divmod(number, self.accumulate)
        pack = part * self.world_size + rank
        if pack >= self.packs_a_step:
            return []
        order, _ = self.prepare(epoch)
        return [Draw(int(at), int(order[at])) for at in self._step(epoch, step)[pack]]

    def denominator(self, number: int, epoch: int = 0) -> float:
        """As in `Plan`."""
        step = self._step(epoch, number // self.accumulate)
        return sum(map(len, step)) / (self.world_size * self.accumulate)

    def fingerprint(self) -> Fingerprint:
        """As in `Plan`."""
        assert self.pack_length is not None
        packs = {"pack_length": self.pack_length, "packs_a_step": self.packs_a_step, "packs_crc32": self._crc}
        return {"steps_of": "packs", **packs, **fingerprint(self)}

    def _step(self, epoch: int, step: int) -> list[np.ndarray]:
        _, packs = self.prepare(epoch)
        return packs[step * self.packs_a_step : (step + 1) * self.packs_a_step]

    def _measured(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """[draws] samples and [draws] stream tokens by position; the last epoch's are kept."""
        if self._lengths is None or self._lengths[0] != epoch:
            self._lengths = (epoch, *measured(self, epoch))
        return self._lengths[1:]

    def _packs(self, lengths: np.ndarray) -> list[np.ndarray]:
        assert self.pack_length is not None
        packs: list[np.ndarray] = []
        for part in windows(len(lengths), self.window):
            packs += [pack + part.start for pack in even_packs(lengths[part], self.pack_length)]
        return packs

    def _fit(self, lengths: np.ndarray) -> tuple[int, int]:
        """Pack length, and packs a step."""
        part = lengths[: list(islice(windows(len(lengths), self.window), TRIED))[-1].stop]
        tokens = self.batch_size * float(lengths.mean())  # of a step
        longest = int(self.lengths.max())  # in any epoch, whatever is cropped
        if self.pack_length is not None:
            if not longest <= self.pack_length <= self.token_budget:
                raise ValueError(
                    f"data.pack_length is {self.pack_length}, but the longest sample has {longest} tokens and "
                    f"data.token_budget is {self.token_budget}; choose one between them"
                )
            fullness = packing_efficiency(part, self.pack_length, self.window)
            return self.pack_length, max(1, round(tokens / (self.pack_length * fullness)))
        least = max(1, int(tokens) // self.token_budget)
        fewest = next(packs for packs in count(least) if self._length(part, tokens / packs) <= self.token_budget)
        for packs in (power_of_two(fewest), fewest):
            length = self._length(part, tokens / packs)
            if length >= longest:
                return length, packs
        raise ValueError(
            f"a step of data.batch_size={self.batch_size} has {tokens:.0f} tokens, too few for packs with samples of "
            f"up to {longest}; raise data.batch_size, or set data.packing=step"
        )

    def _length(self, lengths: np.ndarray, tokens: float) -> int:
        """Of packs that hold as many tokens as `tokens` on average."""
        fullness = packing_efficiency(lengths, max(int(lengths.max()), int(tokens)), self.window)
        return -(-int(tokens / fullness) // STEP) * STEP

    def _check_ranks(self) -> None:
        """ValueError where some ranks would never have a pack; a warning where they sometimes have none."""
        if self.world_size > self.packs_a_step:
            raise ValueError(
                f"{self.world_size} ranks but only {self.packs_a_step} packs a step, of {self.pack_length} tokens; use "
                "fewer ranks, raise data.batch_size, or lower data.token_budget (data.pack_length) for shorter packs"
            )
        slots = self.world_size * self.accumulate
        if slots > self.packs_a_step:
            log.warning(
                "%d packs a step do not part evenly among %d ranks, which wait for %.0f %% of their time",
                self.packs_a_step,
                self.world_size,
                100 * (1 - self.packs_a_step / slots),
            )


def power_of_two(least: int) -> int:
    """The first that is at least `least`."""
    return 1 << (least - 1).bit_length()


def spread(packs: list[np.ndarray], num: int) -> list[np.ndarray]:
    """Exactly `num` packs: those with most samples are halved, or those with fewest are joined (which makes them
    longer than planned); empty ones only where there are not enough samples."""
    sign = -1 if len(packs) < num else 1
    heap = [(sign * len(pack), number) for number, pack in enumerate(packs)]
    heapq.heapify(heap)
    out = dict(enumerate(packs))
    while len(out) < num:
        _, number = heap[0]
        pack = out[number]
        out[number], out[len(out)] = pack[::2], pack[1::2]
        heapq.heapreplace(heap, (-len(out[number]), number))
        heapq.heappush(heap, (-len(pack[1::2]), len(out) - 1))
    while len(out) > num:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        out[second[1]] = np.concatenate([out.pop(first[1]), out[second[1]]])
        heapq.heappush(heap, (first[0] + second[0], second[1]))
    return list(out.values())
