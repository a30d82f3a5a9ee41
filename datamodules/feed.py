"""What the data modules share: sources of shards, opened and planned once, handed out as loaders."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from lightning import LightningDataModule, Trainer

from datamodules.indexed import IndexedShards
from datamodules.loader import HeldOut, HeldOutLoader, Joined, MicroBatches, PlannedLoader
from datamodules.plan import Plan
from depictqa.sample import Task

if TYPE_CHECKING:
    from depictqa.encode import Encoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A training source: shards under `root`, the tasks that it may hold, how often an epoch repeats it."""

    name: str
    root: Path
    tasks: frozenset[Task]
    repeat: int = 1

    def open(self, split: str) -> IndexedShards:
        return IndexedShards(self.root, split, self.name)

    def lengths(self, shards: IndexedShards, encoder: Encoder) -> np.ndarray:
        """[samples] stream tokens. ValueError naming record and task where a task is not this source's."""
        lengths = np.empty(len(shards), dtype=np.int64)
        for index, entry in enumerate(shards.entries()):
            if entry.task not in self.tasks:
                choices = ", ".join(sorted(self.tasks))
                raise ValueError(
                    f"'{shards.folder}' record '{entry.key}': task '{entry.task}' is none of source "
                    f"{self.name}'s ({choices}); move it to the source of its task"
                )
            lengths[index] = encoder.length(entry.task, entry.slots, entry.dialogue)
        return lengths


class FeedOptions(TypedDict, total=False):
    """How samples become batches; the keyword arguments of every data module, with `Feed`'s defaults."""

    batch_size: int
    token_budget: int
    num_workers: int
    seed: int
    crop: bool
    epochs: int
    max_skipped: float
    pin_memory: bool | None


class Feed:
    """Batches from one or several sources.

    `batch_size` counts samples of an optimizer step over all ranks; `token_budget` padded tokens of a
    micro-batch; `crop` is the random crop of training; `epochs` how many the plan looks ahead to;
    `max_skipped` the share of an epoch's samples that may be unreadable. `pin_memory=None`: where there is
    a GPU.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        encoder: Encoder | None,
        *,
        batch_size: int = 16,
        token_budget: int = 8192,
        num_workers: int = 0,
        seed: int = 131,
        crop: bool = True,
        epochs: int = 1,
        max_skipped: float = 0.01,
        pin_memory: bool | None = None,
    ) -> None:
        self.sources, self.encoder = tuple(sources), encoder
        self.batch_size, self.token_budget, self.num_workers = batch_size, token_budget, num_workers
        self.seed, self.crop, self.epochs = seed, crop, epochs
        self.max_skipped, self.pin_memory = max_skipped, pin_memory
        self.world_size, self.rank = 1, 0
        self._plan: Plan | None = None
        self._opened: dict[str, tuple[Joined, np.ndarray, list[int]]] = {}

    def setup(
        self,
        stage: str | None,
        trainer: Trainer | None,
        world_size: int | None = None,
        rank: int | None = None,
    ) -> None:
        """Opens the sources and makes the plan for training.

        Ranks are the trainer's unless given. Call it again when they change: nothing is read twice.
        """
        if world_size is None:
            world_size = trainer.world_size if trainer is not None else 1
        if rank is None:
            rank = trainer.global_rank if trainer is not None else 0
        assert 0 <= rank < world_size
        if (world_size, rank) != (self.world_size, self.rank):
            self._plan = None
        self.world_size, self.rank = world_size, rank
        if stage in (None, "fit"):
            self._make_plan()

    @property
    def plan(self) -> Plan:
        return self._plan if self._plan is not None else self._make_plan()

    def train_loader(self) -> PlannedLoader:
        samples, _, _ = self._open("train")
        batches = MicroBatches(samples, self._encoder(), self.plan, self.rank, self.crop)
        return PlannedLoader(batches, self.num_workers, self.max_skipped, self._pins())

    def val_loader(self) -> HeldOutLoader:
        samples, lengths, _ = self._open("val")
        batches = HeldOut(samples, self._encoder(), lengths, self.token_budget, self.world_size, self.rank)
        return HeldOutLoader(batches, self.num_workers, self._pins())

    def samples(self, split: str) -> Joined:
        """All samples of a split, decoded as they are asked for. Needs no encoder."""
        return Joined([source.open(split) for source in self.sources])

    def _make_plan(self) -> Plan:
        _, lengths, sizes = self._open("train")
        self._plan = Plan(
            sizes=sizes,
            repeats=[source.repeat for source in self.sources],
            lengths=lengths,
            batch_size=self.batch_size,
            token_budget=self.token_budget,
            seed=self.seed,
            epochs=self.epochs,
            world_size=self.world_size,
        )
        return self._plan

    def _open(self, split: str) -> tuple[Joined, np.ndarray, list[int]]:
        """The split's samples, their lengths and how many each source has."""
        if split not in self._opened:
            start = time.monotonic()
            samples = self.samples(split)
            encoder = self._encoder()
            pairs = zip(self.sources, samples.parts, strict=True)
            lengths = [source.lengths(shards, encoder) for source, shards in pairs]
            self._opened[split] = (samples, np.concatenate(lengths), [len(part) for part in samples.parts])
            log.info("%s: %d samples measured in %.1f s", split, len(samples), time.monotonic() - start)
        return self._opened[split]

    def _encoder(self) -> Encoder:
        if self.encoder is None:
            raise ValueError("this data module has no encoder to make batches with; give it encoder=model.encoder")
        return self.encoder

    def _pins(self) -> bool:
        import torch

        return torch.cuda.is_available() if self.pin_memory is None else self.pin_memory


class FedDataModule(LightningDataModule):
    """A `Feed` as Lightning, training and evaluation want it. What is fed is up to the data modules."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed

    def setup(self, stage: str | None = None, world_size: int | None = None, rank: int | None = None) -> None:
        """Lightning calls it with the stage; a caller that must know the plan before may give the ranks."""
        self.feed.setup(stage, self.trainer, world_size, rank)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps."""
        return self.feed.plan.num_steps

    @property
    def accumulate(self) -> int:
        """Micro-batches of each rank in an optimizer step."""
        return self.feed.plan.accumulate

    def train_dataloader(self) -> PlannedLoader:
        return self.feed.train_loader()

    def val_dataloader(self) -> HeldOutLoader:
        return self.feed.val_loader()

    def samples(self, split: str) -> Joined:
        """All samples of a split in a fixed order, without repeats."""
        return self.feed.samples(split)
