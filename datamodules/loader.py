"""Batches from shards by plan, and the place in them: what a loop consumed, not what workers read ahead."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from datamodules.indexed import Entry, IndexedShards
from datamodules.packing import fewest_level, level
from datamodules.plan import Draw, Plan, cut, fewest_bins
from datamodules.references import SomeOfShards
from datamodules.window_plan import WindowPlan
from depictqa.batch import Batch, collate, pack
from depictqa.encode import Encoded, Encoder
from depictqa.sample import Sample
from depictqa.signals import leave_to_parent

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class Joined(Sequence[Sample]):
    """Sources laid end to end: sample `i` of them all."""

    def __init__(self, parts: Sequence[IndexedShards | SomeOfShards]) -> None:
        self.parts = tuple(parts)
        self._starts = np.cumsum([0] + [len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        part, inside = self._locate(index)
        return part[inside]

    def entry(self, index: int) -> Entry:
        part, inside = self._locate(index)
        return part.entry(inside)

    def _locate(self, index: int) -> tuple[IndexedShards | SomeOfShards, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.parts[part], index - int(self._starts[part])


class MicroBatches(Dataset[tuple[Batch, list[str]]]):
    """One rank's micro-batches by (epoch, number): the batch, and a line for each sample that was unreadable.

    What is drawn from chance depends on seed, epoch and the draw's position alone, so any worker gives the
    same.
    """

    def __init__(
        self, samples: Joined, encoder: Encoder, plan: Plan | WindowPlan, rank: int = 0, crop: bool = True
    ) -> None:
        self.samples, self.encoder, self.plan, self.rank, self.crop = samples, encoder, plan, rank, crop
        self._longest = int(plan.lengths.max())

    def __len__(self) -> int:
        return self.plan.micro_batches

    def __getitem__(self, place: tuple[int, int]) -> tuple[Batch, list[str]]:
        epoch, number = place
        draws = self.plan.micro_batch(epoch, number, self.rank)
        encoded: list[Encoded] = []
        unread: list[str] = []
        for draw in draws:
            try:
                sample = self.samples[draw.sample]
            except (ValueError, OSError) as error:
                unread.append(str(error))
                continue
            encoded.append(self.encoder.encode(sample, self._crop(epoch, draw)))
        if not encoded:
            return self._weightless(epoch, number, draws), unread
        return self._batch(encoded, self.plan.denominator(number, epoch)), unread

    def _batch(self, encoded: Sequence[Encoded], denominator: float) -> Batch:
        if self.plan.packed:
            return pack(encoded, denominator, self.plan.pack_length, self._longest)
        return collate(encoded, denominator)

    def _crop(self, epoch: int, draw: Draw) -> np.random.Generator | None:
        return np.random.default_rng([self.plan.seed, epoch, draw.position]) if self.crop else None

    def _weightless(self, epoch: int, number: int, draws: Sequence[Draw]) -> Batch:
        """Black images and no weight in the loss: all ranks step equally often, whatever is left."""
        draws = draws or self.plan.draws(epoch, number // self.plan.accumulate) or self.plan.draws(epoch, 0)
        shortest = min(draws, key=lambda draw: (self.plan.lengths[draw.sample], draw.position))
        entry = self.samples.entry(shortest.sample)
        images = {slot: Image.new("RGB", size) for slot, size in entry.slots.items()}
        sample = Sample(entry.key, entry.task, images, entry.dialogue)
        return self._batch([self.encoder.encode(sample)], denominator=float("inf"))


class PlannedLoader:
    """A rank's batches, epoch by epoch, resumable at any optimizer step by any number of ranks.

    `len()` is the number of batches of an epoch, wherever one is in it. `state_dict()` counts the steps whose
    batches were handed out, so it is right for a trainer that saves after a step, whatever the workers have
    read ahead. Lightning keeps it in its checkpoints; it calls `iter()` before `set_epoch()`, so the epoch
    is looked up at the first batch.
    """

    def __init__(
        self, batches: MicroBatches, num_workers: int = 0, max_skipped: float = 0.01, pin_memory: bool = False
    ) -> None:
        self.batches, self.num_workers = batches, num_workers
        self.max_skipped, self.pin_memory = max_skipped, pin_memory
        self.epoch = self.step = 0
        self.skipped = 0  # samples of the epoch that could not be read
        self._resume_epoch: int | None = None

    @property
    def sampler(self) -> PlannedLoader:
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        if self._resume_epoch != self.epoch:  # else a state was loaded, and this is the epoch it speaks of
            self.step = self.skipped = 0
        self._resume_epoch = None
        epoch = self.epoch
        self.batches.plan.prepare(epoch)
        places = [(epoch, number) for number in range(self.step, len(self))]
        for batch, unread in in_order(self.batches, places, self.num_workers, self.pin_memory):
            self._count(unread)
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The optimizer step that comes next, or that is under way: its gradient would be lost with the process."""
        plan = self.batches.plan
        step = self.step // plan.accumulate
        return {"epoch": self.epoch, "step": step, "skipped": self._all_skipped(), "plan": plan.fingerprint()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of any number of ranks and workers. ValueError where the state is a place in another order of draws."""
        plan = self.batches.plan
        for name, value in plan.fingerprint().items():
            saved = state["plan"].get(name)
            if saved != value:
                raise ValueError(
                    f"the checkpoint's data position has {name}={saved}, this run {name}={value}; "
                    f"resume with the same data, batch size, repeats, seed and packing"
                )
        self.epoch = self._resume_epoch = int(state["epoch"])
        self.step = int(state["step"]) * plan.accumulate
        share, rest = divmod(int(state["skipped"]), plan.world_size)
        self.skipped = share + (self.batches.rank < rest)

    def _all_skipped(self) -> int:
        """Over all ranks, which all save at once."""
        if self.batches.plan.world_size == 1 or not torch.distributed.is_initialized():
            return self.skipped
        counts = [0] * self.batches.plan.world_size
        torch.distributed.all_gather_object(counts, self.skipped)
        return sum(counts)

    def _count(self, unread: Sequence[str]) -> None:
        for line in unread:
            log.warning("skipped: %s", line)
        self.skipped += len(unread)
        plan = self.batches.plan
        allowed = self.max_skipped * plan.num_draws / plan.world_size
        if unread and self.skipped > allowed:
            raise ValueError(
                f"{self.skipped} samples could not be read, over data.max_skipped={self.max_skipped}; "
                f"mend the data, the last was: {unread[-1]}"
            )


class HeldOut(Dataset[Batch | str]):
    """Samples in batches of like length within the token budget, without crops, shared out over ranks; with `packed`
    in packs, of `pack_length` tokens where it is given, else within the budget.

    All ranks get equally many batches where there are enough samples. In place of a batch with a sample that
    cannot be read stands the reason: an exception would reach the main process as a page of text.
    """

    def __init__(
        self,
        samples: Joined,
        encoder: Encoder,
        lengths: np.ndarray,
        token_budget: int,
        world_size: int,
        rank: int,
        packed: bool = False,
        pack_length: int | None = None,
    ) -> None:
        self.samples, self.encoder, self.packed, self.pack_length = samples, encoder, packed, pack_length
        self.longest = int(lengths.max())
        if self.longest > token_budget:
            raise ValueError(
                f"the longest held-out sample has {self.longest} tokens, over data.token_budget={token_budget}; "
                "raise it"
            )
        if packed:
            room = max(self.longest, pack_length or token_budget)
            bins = level(lengths, min(fewest_level(lengths, room, world_size), len(lengths)))
        else:
            needed = fewest_bins(-np.sort(-lengths), token_budget)
            shared = -(-needed // world_size) * world_size
            bins = cut(lengths, min(shared, len(lengths)), token_budget)
        self.bins = bins[rank::world_size]

    def __len__(self) -> int:
        return len(self.bins)

    def __getitem__(self, number: int) -> Batch | str:
        try:
            encoded = [self.encoder.encode(self.samples[int(index)]) for index in self.bins[number]]
        except (ValueError, OSError) as error:
            return str(error)
        return pack(encoded, None, self.pack_length, self.longest) if self.packed else collate(encoded)


class HeldOutLoader:
    """`HeldOut` in order. No DataLoader by type: Lightning would share its batches out over ranks again."""

    def __init__(self, batches: HeldOut, num_workers: int = 0, pin_memory: bool = False) -> None:
        self.batches, self.num_workers, self.pin_memory = batches, num_workers, pin_memory

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for batch in in_order(self.batches, range(len(self)), self.num_workers, self.pin_memory):
            if isinstance(batch, str):
                raise ValueError(f"held-out samples must all be readable: {batch}")
            yield batch


def in_order(
    dataset: Dataset[_Item], places: Sequence[Any], num_workers: int, pin_memory: bool = False
) -> Iterable[_Item]:
    """`dataset[place]` for each place, in order, read ahead by workers.

    The loader has a generator of its own: making its iterator draws a number, and drawn from torch's global
    generator that would make dropout depend on how often a run was resumed.
    """
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=places,  # type: ignore[arg-type]  # any iterable of keys serves
        num_workers=num_workers,
        collate_fn=_as_it_is,
        worker_init_fn=leave_to_parent,
        pin_memory=pin_memory,
        generator=torch.Generator(),
    )


def _as_it_is(item: _Item) -> _Item:
    return item
