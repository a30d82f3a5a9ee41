"""Batches from a stream of shards: the data module for what does not fit the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datamodules.feed import FedDataModule
from datamodules.loader import HeldOutLoader, Joined
from datamodules.plan import cut, fewest_bins
from datamodules.stream import expand, streamed
from depictqa.batch import Batch, collate
from depictqa.encode import Encoded, Encoder


class StreamedBatches(IterableDataset[Batch | str]):
    """Micro-batches without end, `accumulate` of them for each `share` samples.

    In place of one that cannot be made stands the reason. Every rank, worker and start draws from its own
    chance.
    """

    def __init__(
        self,
        urls: Sequence[str],
        source: str,
        encoder: Encoder,
        *,
        share: int,
        accumulate: int,
        token_budget: int,
        seed: int,
        rank: int,
        crop: bool,
        buffer: int,
    ) -> None:
        self.urls, self.source, self.encoder = tuple(urls), source, encoder
        self.share, self.accumulate, self.token_budget = share, accumulate, token_budget
        self.seed, self.rank, self.crop, self.buffer = seed, rank, crop, buffer
        self.start = (0, 0)  # epoch and batch

    def __iter__(self) -> Iterator[Batch | str]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, self.rank, worker.id if worker else 0, *self.start])
        samples = streamed(self.urls, self.source, rng, self.buffer)
        while True:
            try:
                encoded = [
                    self.encoder.encode(sample, rng if self.crop else None) for sample in islice(samples, self.share)
                ]
                yield from self._batches(encoded)
            except ValueError as error:
                yield str(error)
                return

    def _batches(self, encoded: Sequence[Encoded]) -> Iterator[Batch]:
        lengths = np.array([len(item) for item in encoded])
        needed = fewest_bins(-np.sort(-lengths), self.token_budget)
        if lengths.max() > self.token_budget:
            raise ValueError(f"a sample has {lengths.max()} tokens, over data.token_budget={self.token_budget}")
        if needed > self.accumulate:
            raise ValueError(
                f"{self.share} samples need {needed} micro-batches of data.token_budget={self.token_budget}, "
                f"data.accumulate is {self.accumulate}; raise it"
            )
        shortest = encoded[int(lengths.argmin())]
        for bin_ in cut(lengths, self.accumulate, self.token_budget):
            if len(bin_):
                yield collate([encoded[index] for index in bin_], self.share / self.accumulate)
            else:
                yield collate([shortest], denominator=float("inf"))  # no weight: steps stay of equal size


class StreamedLoader:
    """`num_batches` an epoch. Its state is a count only: a resumed run goes on with fresh draws, not with the
    very samples that an unbroken one would have drawn."""

    def __init__(self, batches: StreamedBatches, num_batches: int, num_workers: int = 0) -> None:
        self.batches, self.num_batches, self.num_workers = batches, num_batches, num_workers
        self.epoch = self.step = 0
        self._resume_epoch: int | None = None

    @property
    def sampler(self) -> StreamedLoader:
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[Batch]:
        if self._resume_epoch != self.epoch:
            self.step = 0
        self._resume_epoch = None
        self.batches.start = (self.epoch, self.step)
        loader = DataLoader(self.batches, batch_size=None, num_workers=self.num_workers, generator=torch.Generator())
        for batch in islice(loader, self.num_batches - self.step):
            if isinstance(batch, str):
                raise ValueError(batch)
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """`step` counts optimizer steps."""
        return {"epoch": self.epoch, "step": self.step // self.batches.accumulate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = self._resume_epoch = int(state["epoch"])
        self.step = int(state["step"]) * self.batches.accumulate


class StreamedDataModule(LightningDataModule):
    """Trains on the shards at `urls` (braces are written out) and is evaluated on those of `held_out`.

    `num_samples` make an epoch. `accumulate` must be given: lengths are not known before reading.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        held_out: FedDataModule,
        encoder: Encoder | None = None,
        *,
        num_samples: int,
        accumulate: int = 1,
        source: str = "streamed",
        batch_size: int = 16,
        token_budget: int = 8192,
        num_workers: int = 0,
        seed: int = 131,
        crop: bool = True,
        buffer: int = 1000,
    ) -> None:
        super().__init__()
        self.urls, self.held_out, self.encoder, self.source = expand(urls), held_out, encoder, source
        self.num_samples, self.accumulate, self.batch_size = num_samples, accumulate, batch_size
        self.token_budget, self.num_workers, self.seed = token_budget, num_workers, seed
        self.crop, self.buffer = crop, buffer
        self.world_size, self.rank = 1, 0

    def setup(self, stage: str | None = None, world_size: int | None = None, rank: int | None = None) -> None:
        trainer = self.trainer
        self.world_size = world_size or (trainer.world_size if trainer is not None else 1)
        self.rank = rank if rank is not None else (trainer.global_rank if trainer is not None else 0)
        if self.batch_size % self.world_size:
            raise ValueError(
                f"data.batch_size is {self.batch_size}, no multiple of {self.world_size} ranks; choose one"
            )
        if self.held_out.feed.encoder is None:
            self.held_out.feed.encoder = self.encoder
        self.held_out.setup("validate", self.world_size, self.rank)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.num_samples // self.batch_size)

    def train_dataloader(self) -> StreamedLoader:
        if self.encoder is None:
            raise ValueError("this data module has no encoder to make batches with; give it encoder=...")
        batches = StreamedBatches(
            self.urls,
            self.source,
            self.encoder,
            share=self.batch_size // self.world_size,
            accumulate=self.accumulate,
            token_budget=self.token_budget,
            seed=self.seed,
            rank=self.rank,
            crop=self.crop,
            buffer=self.buffer,
        )
        return StreamedLoader(batches, self.steps_per_epoch * self.accumulate, self.num_workers)

    def val_dataloader(self) -> HeldOutLoader:
        return self.held_out.val_dataloader()

    def samples(self, split: str) -> Joined:
        return self.held_out.samples(split)
