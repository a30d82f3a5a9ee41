"""What the data modules share: sources of shards, opened and planned once, handed out as loaders."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from lightning import LightningDataModule, Trainer

from datamodules.indexed import Entry, IndexedShards
from datamodules.lengths import StreamLengths
from datamodules.loader import HeldOut, HeldOutLoader, Joined, MicroBatches, PlannedLoader
from datamodules.packing import PACKINGS
from datamodules.plan import Plan
from datamodules.references import REFERENCES, SomeOfShards, chosen_references
from datamodules.window_plan import WindowPlan
from depictqa.models.config import check_choice
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

    def lengths(self, shards: IndexedShards | SomeOfShards, encoder: Encoder) -> StreamLengths:
        """Of all samples. ValueError naming record and task where a task is not this source's."""
        return StreamLengths.measure(map(partial(self._checked, shards), shards.entries()), encoder)

    def _checked(self, shards: IndexedShards | SomeOfShards, entry: Entry) -> Entry:
        if entry.task not in self.tasks:
            choices = ", ".join(sorted(self.tasks))
            raise ValueError(
                f"'{shards.folder}' record '{entry.key}': task '{entry.task}' is none of source "
                f"{self.name}'s ({choices}); move it to the source of its task"
            )
        return entry


class FeedOptions(TypedDict, total=False):
    """How samples become batches; the keyword arguments of every data module, with `Feed`'s defaults."""

    batch_size: int
    token_budget: int
    packing: str
    pack_length: int | None
    num_workers: int
    seed: int
    crop: bool
    epochs: int
    max_skipped: float
    pin_memory: bool | None
    references: str


class Feed:
    """Batches from one or several sources.

    `batch_size` counts samples of an optimizer step over all ranks; `token_budget` tokens of a micro-batch at most;
    `packing` is "none" (a row for each sample, padded to one length), "step" (the step's samples laid end to end) or
    "window" (steps of full packs: `WindowPlan`, which takes `pack_length`); `crop` is the random crop of training;
    `epochs` how many the plan looks ahead to; `max_skipped` the share of an epoch's samples that may be unreadable.
    `pin_memory=None`: where there is a GPU. `references`: "all", "with" or "without", of training alone.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        encoder: Encoder | None,
        *,
        batch_size: int = 16,
        token_budget: int = 8192,
        packing: str = "none",
        pack_length: int | None = None,
        num_workers: int = 0,
        seed: int = 131,
        crop: bool = True,
        epochs: int = 1,
        max_skipped: float = 0.01,
        pin_memory: bool | None = None,
        references: str = "all",
    ) -> None:
        self.references = check_choice(references, REFERENCES, "data.references")
        self.sources, self.encoder = tuple(sources), encoder
        self.batch_size, self.token_budget, self.num_workers = batch_size, token_budget, num_workers
        self.packing, self.pack_length = check_choice(packing, PACKINGS, "data.packing"), pack_length
        if pack_length is not None and packing != "window":
            raise ValueError(f"data.pack_length is {pack_length}, but data.packing is {packing}; set it to window")
        self.seed, self.crop, self.epochs = seed, crop, epochs
        self.max_skipped, self.pin_memory = max_skipped, pin_memory
        self.world_size, self.rank = 1, 0
        self._plan: Plan | WindowPlan | None = None
        self._opened: dict[str, tuple[Joined, StreamLengths, list[int]]] = {}

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
    def plan(self) -> Plan | WindowPlan:
        return self._plan if self._plan is not None else self._make_plan()

    def train_loader(self) -> PlannedLoader:
        samples, _, _ = self._open("train")
        batches = MicroBatches(samples, self._encoder(), self.plan, self.rank, self.crop)
        return PlannedLoader(batches, self.num_workers, self.max_skipped, self._pins())

    def val_loader(self) -> HeldOutLoader:
        samples, lengths, _ = self._open("val")
        packed = self.packing != "none"
        length = self._plan.pack_length if self._plan is not None else None
        if length is not None and int(lengths.whole.max()) > length:
            length = None  # held-out samples are few: rather another graph than none of them
        batches = HeldOut(
            samples, self._encoder(), lengths.whole, self.token_budget, self.world_size, self.rank, packed, length
        )
        return HeldOutLoader(batches, self.num_workers, self._pins())

    def samples(self, split: str) -> Joined:
        """All samples of a split, decoded as they are asked for. Needs no encoder.

        ValueError where there is one and the images were scaled for another.
        """
        kind = self.references if split == "train" else "all"
        samples = Joined([chosen_references(source.open(split), kind) for source in self.sources])
        if self.encoder is not None:
            for shards in samples.parts:
                shards.check_geometry(self.encoder.geometry)
        return samples

    def measured(self, split: str) -> tuple[Joined, StreamLengths]:
        """A split's samples and how long their streams are; needs no token budget."""
        samples, lengths, _ = self._open(split)
        return samples, lengths

    def _make_plan(self) -> Plan | WindowPlan:
        samples, lengths, sizes = self._open("train")
        self._check_answers(samples)
        repeats = [source.repeat for source in self.sources]
        recipe = (sizes, repeats, lengths.whole, self.batch_size, self.token_budget, self.seed, self.epochs)
        drawn = partial(lengths.drawn, self.seed) if self.crop and self.packing != "none" else None
        if self.packing == "window":
            self._plan = WindowPlan(*recipe, self.world_size, drawn, self.pack_length)
        else:
            self._plan = Plan(*recipe, self.world_size, packed=self.packing == "step", drawn=drawn)
        return self._plan

    def _open(self, split: str) -> tuple[Joined, StreamLengths, list[int]]:
        """The split's samples, their lengths and how many each source has."""
        if split not in self._opened:
            start = time.monotonic()
            samples = self.samples(split)
            encoder = self._encoder()
            pairs = zip(self.sources, samples.parts, strict=True)
            lengths = [source.lengths(shards, encoder) for source, shards in pairs]
            self._opened[split] = (samples, StreamLengths.joined(lengths), [len(part) for part in samples.parts])
            log.info("%s: %d samples measured in %.1f s", split, len(samples), time.monotonic() - start)
        return self._opened[split]

    def _check_answers(self, samples: Joined) -> None:
        """ValueError where a source would teach nothing, since all of its answers are cut off."""
        encoder = self._encoder()
        for source, shards in zip(self.sources, samples.parts, strict=True):
            left = (encoder.leaves_answer(entry.task, entry.slots, entry.dialogue) for entry in shards.entries())
            if source.repeat and len(shards) and not any(left):
                raise ValueError(
                    f"model.max_text_tokens is {encoder.max_text_tokens}, which leaves nothing of any answer of source "
                    f"'{source.name}'; raise it"
                )

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
