"""What a training step allocates, traced on a model without values: all is dispatched, nothing computed.

The forward pass runs on fake CUDA tensors, so that the operations, and what they keep for the backward pass, are those
of a GPU. A backward pass on CUDA needs a driver: what it holds for a while is that of a CPU's operations.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from depictqa import attention
from depictqa.batch import Batch
from depictqa.loss import batch_loss
from depictqa.models.config import ModelConfig
from depictqa.models.depictqa import DepictQA, image_tokens
from depictqa.models.float8 import use_float8
from depictqa.models.language import LanguageModel
from depictqa.models.projector import Projector
from depictqa.models.vision import VisionTower


class Allocated(TorchDispatchMode):
    """Bytes of storages that came to be while it is entered and are still there, and their `peak`; not of `known`
    tensors and their views."""

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._storages = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf.untyped_storage())
        return out

    def _see(self, storage: Any) -> None:
        if storage._cdata not in self._storages:
            size = storage.nbytes()
            self._storages.add(storage._cdata)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._gone, storage._cdata, size).atexit = False

    def _gone(self, key: int, size: int) -> None:
        self._storages.discard(key)
        self.live -= size


@dataclass(frozen=True)
class StepShape:
    """A pack of `tokens`, `supervised` of them, with images of `side` x `side` patches on `image_tokens` of them, in
    samples of `sample_tokens`."""

    tokens: int
    supervised: int
    image_tokens: int
    sample_tokens: int
    side: int = 16

    def of(self, tokens: int) -> StepShape:
        """As much of everything in a pack of so many tokens."""
        part = tokens / self.tokens
        return replace(
            self,
            tokens=tokens,
            supervised=max(1, round(part * self.supervised)),
            image_tokens=round(part * self.image_tokens),
        )


@dataclass(frozen=True)
class StepBytes:
    """`kept` at the end of the forward pass, loss included, and the most that the rest of the step has beyond that."""

    kept: float
    workspace: float


@dataclass(frozen=True)
class StepCost:
    """Bytes of a step as a line over its tokens: [0] of an empty one, [1] of each token."""

    kept: tuple[float, float]
    workspace: tuple[float, float]

    def at(self, tokens: float) -> StepBytes:
        return StepBytes(self.kept[0] + self.kept[1] * tokens, self.workspace[0] + self.workspace[1] * tokens)

    @property
    def fixed(self) -> float:
        return self.kept[0] + self.workspace[0]

    @property
    def per_token(self) -> float:
        return self.kept[1] + self.workspace[1]


def hollow(
    config: ModelConfig, vocab_size: int | None = None, num_layers: int | None = None, float8: bool = False
) -> DepictQA:
    """A model on the meta device, without a tokenizer: for all but weights and words. `num_layers` of the decoder, its
    frozen matrices in `float8`."""
    language = config.language
    assert language.architecture is not None and language.path is None
    settings = dict(language.architecture)
    if num_layers is not None:
        settings.pop("layer_types", None)
        settings["num_hidden_layers"] = num_layers
    named = config.vision.name is not None  # open_clip builds those on a CPU only
    with torch.device("cpu" if named else "meta"):
        vision = VisionTower.build(replace(config.vision, patch_init="random")).to("meta")
    with torch.device("meta"):
        decoder = LanguageModel.build(
            replace(language, architecture=settings), vocab_size or settings.get("vocab_size", 0)
        )
        projector = Projector(vision.width, decoder.width, config.projector)
        if float8:
            use_float8(decoder)
    model = DepictQA(vision, projector, decoder, cast(Any, None), config)
    return model.train()


def traced_step(model: DepictQA, shape: StepShape, device: str, autocast: bool, backward: bool) -> StepBytes:
    """Of a step on a `device` that need not be there, "cuda" or "cpu"; `autocast` to bfloat16. The workspace is 0
    without `backward`. The model's parameters lose what they hold."""
    with _without_values(device, autocast):
        _refill(model, device)
        model.zero_grad()
        if backward:  # gradients are there from the step's first micro-batch on
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.empty_like(parameter)
        batch = stand_in(model, shape, device)
        with Allocated(_tensors(model, batch)) as allocated:
            loss = batch_loss(model(batch))
            kept = allocated.live
            if backward:
                loss.backward()
        return StepBytes(kept, allocated.peak - kept if backward else 0)


def step_cost(
    config: ModelConfig,
    shape: StepShape,
    num_layers: int,
    vocab_size: int | None = None,
    recompute: int | None = None,
    float8: bool = False,
) -> StepCost:
    """Of steps of `shape`, longer or shorter, of a model of `num_layers`, in bf16-mixed precision on a GPU.

    Traced on models of few layers, since all layers cost the same, at two lengths; `recompute` is the trainer's.
    """
    period = recompute or 1
    models = (hollow(config, vocab_size, n * period, float8) for n in (2, 3))
    few, more = (_two_lengths(model, shape, recompute) for model in models)
    times = (num_layers - 2 * period) / period
    kept = [first.kept + (second.kept - first.kept) * times for first, second in zip(few, more, strict=True)]
    workspace = [max(first.workspace, second.workspace) for first, second in zip(few, more, strict=True)]
    return StepCost(*(_line(shape.tokens // 2, shape.tokens, *ends) for ends in (kept, workspace)))


def _two_lengths(model: DepictQA, shape: StepShape, recompute: int | None) -> list[StepBytes]:
    """At half of the tokens, and at all."""
    if recompute is not None:
        model.language.recompute(recompute)
    found = []
    for part in (shape.of(shape.tokens // 2), shape):
        kept = traced_step(model, part, "cuda", True, False).kept
        found.append(StepBytes(kept, traced_step(model, part, "cpu", True, True).workspace))
    return found


def _line(first_at: float, second_at: float, first: float, second: float) -> tuple[float, float]:
    slope = (second - first) / (second_at - first_at)
    return first - slope * first_at, slope


def stand_in(model: DepictQA, shape: StepShape, device: str) -> Batch:
    """A pack of that shape."""
    each = image_tokens(model.config, model.projector)((shape.side, shape.side))
    images = shape.image_tokens // each
    pixels = shape.side * model.vision.patch
    flat = torch.zeros(1, shape.tokens, dtype=torch.int64, device=device)
    ends = [*range(0, shape.tokens, shape.sample_tokens), shape.tokens]
    return Batch(
        ids=flat,
        labels=torch.zeros_like(flat),
        weights=torch.zeros(1, shape.tokens, device=device),
        positions=torch.zeros_like(flat),
        segments=torch.zeros_like(flat),
        pixels=[torch.zeros(images, 3, pixels, pixels, dtype=torch.uint8, device=device)] if images else [],
        image_positions=torch.zeros(images * each, dtype=torch.int64, device=device),
        image_rows=torch.zeros(images * each, dtype=torch.int64, device=device),
        supervised=torch.ones(shape.supervised, dtype=torch.int64, device=device),
        keys=[""] * (len(ends) - 1),
        bounds=_bounds(ends, device),
        longest=min(shape.sample_tokens, shape.tokens),
    )


def _bounds(ends: list[int], device: str) -> torch.Tensor:
    """On a CPU with their values, by which segments are cut there."""
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    if device != "cpu":
        return torch.zeros(len(ends), dtype=torch.int32, device=device)
    with unset_fake_temporarily():
        return torch.tensor(ends, dtype=torch.int32)


@contextmanager
def _without_values(device: str, autocast: bool) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(_autocast(device, autocast))
        stack.enter_context(attention.variable_length(_flash))
        yield


@contextmanager
def _autocast(device: str, enabled: bool) -> Iterator[None]:
    """`torch.autocast` turns itself off where there is no such device."""
    before = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    torch.set_autocast_enabled(device, enabled)
    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled(device, before[0])
        torch.set_autocast_dtype(device, before[1])


def _flash(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: torch.Tensor, longest: int, scale: float) -> Any:
    """What `varlen_attn` and flash-attn call in the end."""
    keys = {"scale": scale}
    k, v = (tensor.repeat_interleave(q.shape[1] // tensor.shape[1], 1) for tensor in (k, v))
    return torch.ops.aten._flash_attention_forward(q, k, v, bounds, bounds, longest, longest, 0.0, True, False, **keys)[
        0
    ]


def _refill(model: nn.Module, device: str) -> None:
    """Tensors of the same shapes on the device: `to_empty` cannot, for fake ones."""
    made: dict[int, Any] = {}

    def new(old: torch.Tensor) -> Any:
        if id(old) not in made:
            empty = torch.empty(old.shape, dtype=old.dtype, device=device)
            tensor = nn.Parameter(empty, old.requires_grad) if isinstance(old, nn.Parameter) else empty
            made[id(old)] = (tensor, old)  # the old one too, so that no other takes its place in memory
        return made[id(old)][0]

    for module in model.modules():
        groups: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for group in groups:
            for name, old in group.items():
                group[name] = None if old is None else new(old)


def _tensors(model: nn.Module, batch: Batch) -> list[torch.Tensor]:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    of_batch = [getattr(batch, item.name) for item in fields(batch)]
    tensors = [*batch.pixels, *(value for value in of_batch if isinstance(value, torch.Tensor))]
    return [*model.parameters(), *model.buffers(), *gradients, *tensors]
