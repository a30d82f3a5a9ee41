"""The two training loops of `bench/train_step.py`: the official one, and ours from packs or padded batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from bench import official_loop as official
from bench.cpu_time import cpu_seconds
from datamodules.indexed import IndexedShards
from datamodules.loader import in_order
from depictqa.attention import Segments
from depictqa.batch import Batch, collate, pack
from depictqa.encode import IGNORE_INDEX, Encoder
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA
from depictqa.models.float8 import use_float8
from depictqa.models.language import LanguageModel
from depictqa.optim import OptimizerConfig, adam

PADDED = 8  # samples of a padded batch


class Packs(Dataset[Batch]):
    """Full packs of the samples, or padded batches of `PADDED`, as a worker makes them."""

    def __init__(
        self, samples: IndexedShards, encoder: Encoder, bins: Sequence[Sequence[int]], length: int | None, longest: int
    ) -> None:
        self.samples, self.encoder, self.bins = samples, encoder, bins
        self.length, self.longest = length, longest

    def __getitem__(self, number: int) -> Batch:
        encoded = [self.encoder.encode(self.samples[int(index)]) for index in self.bins[number]]
        return collate(encoded) if self.length is None else pack(encoded, None, self.length, self.longest)


@dataclass
class Round:
    """One pass over the samples."""

    seconds: float = 0.0
    cpu: float = 0.0  # CPU seconds, workers' included
    waited: float = 0.0  # of them, for data
    memory: float = 0.0  # GB on a GPU at most
    aside: int = 0  # bytes there that were held without being used
    losses: list[float] = field(default_factory=list)


@dataclass
class Bench:
    """What all rungs share, and the two loops."""

    model: DepictQA
    device: torch.device
    files: IndexedShards  # as they come
    shards: IndexedShards  # scaled and not compressed
    packs: list[list[int]]
    pack_length: int
    longest: int  # tokens of a sample at most
    workers: int
    blocks: Sequence[Any] = ()  # compiled forward functions of the vision tower

    def compile_vision(self, **options: Any) -> None:
        """For the rungs that ask for it; the others go by the tower as it is."""
        self.model.vision.compile_blocks(**options)
        blocks: Any = self.model.vision.trunk.transformer.resblocks  # type: ignore[union-attr]
        self.blocks = [vars(block).pop("forward") for block in blocks]

    def autocast(self) -> Any:
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()

    def one_by_one(self, implementation: str) -> Round:
        """The official loop, with eager attention or SDPA."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        offloaded = official.OffloadedAdam(trained) if self.device.type == "cuda" else None
        optimizer: Any = offloaded or adam(trained, OptimizerConfig())
        found = Round()
        with ExitStack() as stack:
            stack.enter_context(official.attention(self.model, implementation))
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            start = (time.perf_counter(), cpu_seconds())
            losses = []
            for index in range(len(self.files)):
                before = time.perf_counter()
                encoded, images = official.opened(self.model, self.files[index])
                found.waited += time.perf_counter() - before
                with self.autocast():
                    loss = official.official_loss(self.model, encoded, images)
                (loss / official.ACCUMULATE).backward()
                losses.append(loss.detach())
                if (index + 1) % official.ACCUMULATE == 0 or index + 1 == len(self.files):
                    torch.nn.utils.clip_grad_norm_(trained, 1.0)
                    optimizer.step()
                    optimizer.zero_grad()
            self._finish(found, start, losses)
        return found

    def batches(
        self,
        padded: bool = False,
        whole_head: bool = False,
        compiled: bool = True,
        vision: bool = False,
        float8: bool = False,
    ) -> Round:
        """Packs, or padded batches with eager attention, from workers. The vision tower may be compiled as well, and
        the frozen weights of the decoder layers be in float8."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = adam(trained, OptimizerConfig())
        num = len(self.shards)
        bins = [list(range(i, min(i + PADDED, num))) for i in range(0, num, PADDED)] if padded else self.packs
        data = Packs(self.shards, self.model.encoder, bins, None if padded else self.pack_length, self.longest)
        accumulate = max(1, round(official.ACCUMULATE * len(bins) / num))
        found = Round()
        with ExitStack() as stack:
            if padded:
                stack.enter_context(official.attention(self.model, "eager"))
            if not compiled:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            if vision:
                stack.enter_context(_compiled_vision(self.model, self.blocks))
            if float8:
                found.aside = stack.enter_context(_in_float8(self.model.language))
            start = (time.perf_counter(), cpu_seconds())
            losses = []
            pinned = self.device.type == "cuda"
            for number, batch in enumerate(self._timed(in_order(data, range(len(bins)), self.workers, pinned), found)):
                batch = batch.to(self.device, non_blocking=True)
                with self.autocast():
                    loss = whole_head_loss(self.model, batch) if whole_head else batch_loss(self.model(batch))
                (loss / accumulate).backward()
                losses.append(loss.detach() * batch.num_samples)
                if (number + 1) % accumulate == 0 or number + 1 == len(bins):
                    torch.nn.utils.clip_grad_norm_(trained, 1.0)
                    optimizer.step()
                    optimizer.zero_grad()
            self._finish(found, start, losses)
        return found

    def _timed(self, batches: Any, found: Round) -> Iterator[Batch]:
        before = time.perf_counter()
        for batch in batches:
            found.waited += time.perf_counter() - before
            yield batch
            before = time.perf_counter()

    def _finish(self, found: Round, start: tuple[float, float], losses: list[torch.Tensor]) -> None:
        found.losses = torch.stack(losses).tolist()  # waits for the device
        found.seconds, found.cpu = time.perf_counter() - start[0], cpu_seconds() - start[1]


def whole_head_loss(model: DepictQA, batch: Batch) -> torch.Tensor:
    """`batch_loss` from the logits of all tokens."""
    every = torch.arange(batch.num_tokens, device=batch.ids.device)
    segments = positions = None
    if batch.bounds is not None:
        segments, positions = Segments(batch.segments, batch.bounds, batch.longest), batch.positions
    logits = model.language(model.embed(batch), every, None, positions, segments=segments)
    chosen = batch.supervised
    losses = torch.nn.functional.cross_entropy(
        logits[:-1].float(), batch.labels.flatten()[1:], ignore_index=IGNORE_INDEX, reduction="none"
    )
    return (losses[chosen - 1] * batch.weights.flatten()[chosen]).sum()


@contextmanager
def _compiled_vision(model: DepictQA, forwards: Sequence[Any]) -> Iterator[None]:
    blocks: Any = model.vision.trunk.transformer.resblocks  # type: ignore[union-attr]
    for block, forward in zip(blocks, forwards, strict=True):
        block.forward = forward
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


@contextmanager
def _in_float8(language: LanguageModel) -> Iterator[int]:
    """Frozen weights in float8 inside, the wide ones back after; yields the bytes of those, which are kept."""
    wide = [
        (module, name, child)
        for layer in language.layers
        for module in list(layer.modules())
        for name, child in module.named_children()
        if type(child) is nn.Linear and not child.weight.requires_grad
    ]
    use_float8(language)
    try:
        yield sum(child.weight.nbytes for *_, child in wide)
    finally:
        for module, name, child in wide:
            setattr(module, name, child)
