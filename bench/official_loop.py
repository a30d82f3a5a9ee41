"""The official training loop, written again from its description, to measure ours beside it.

One sample at a time: its images are opened within the step, each made float and normalised on the CPU and put through
the vision tower alone; text and features are embedded piece by piece and joined; attention is transformers' eager one,
with its dropout; the head computes the logits of all tokens; 16 such samples to an optimiser step, whose states may lie
on the CPU. It runs on our model's own weights, so that both compute one loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms import functional as transforms

from depictqa.encode import IGNORE_INDEX, Encoded
from depictqa.image import CLIP_MEAN, CLIP_STD
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Sample

ACCUMULATE = 16  # samples of an optimiser step


@contextmanager
def attention(model: DepictQA, implementation: str) -> Iterator[None]:
    """transformers' own attention of that name ("eager", "sdpa") inside, what was there before after."""
    base = base_model(model)
    before = base.config._attn_implementation
    base.set_attn_implementation(implementation)
    try:
        yield
    finally:
        base.set_attn_implementation(before)


def base_model(model: DepictQA) -> Any:
    """The transformers model itself."""
    wrapped = model.language.model
    return wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped


def normalised(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W], on the CPU."""
    return transforms.normalize(transforms.to_tensor(pixels.copy()), CLIP_MEAN, CLIP_STD)[None]


def image_features(model: DepictQA, pixels: torch.Tensor) -> torch.Tensor:
    """[1, 3, H, W], normalised -> [1, n, D] for the language model."""
    with torch.no_grad():
        features = model.vision._transformer(pixels.to(model.device, next(model.vision.trunk.parameters()).dtype))
    return model.projector(features)


def stream(model: DepictQA, encoded: Encoded, images: Sequence[torch.Tensor]) -> torch.Tensor:
    """[1, T, D]: texts and images, one call for each, joined."""
    ids = encoded.ids[None].to(model.device)
    parts, start = [], 0
    for first, length, image in zip(encoded.image_starts, encoded.image_lengths, images, strict=True):
        text = model.language.embed(ids[:, start:first])
        parts += [text, image_features(model, image).to(text.dtype)]
        start = first + length
    parts.append(model.language.embed(ids[:, start:]))
    return torch.cat(parts, dim=1)


def all_logits(model: DepictQA, embeds: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """[B, T, D] -> [B, T, V]"""
    return model.language.model(inputs_embeds=embeds, attention_mask=mask, use_cache=False).logits


def token_mean(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Scalar: over the supervised tokens of [B, T] labels; logits of all, moved by one place and made float32."""
    shifted = logits[:, :-1].float().flatten(0, 1)
    return F.cross_entropy(shifted, labels[:, 1:].flatten(), ignore_index=IGNORE_INDEX)


def opened(model: DepictQA, sample: Sample) -> tuple[Encoded, list[torch.Tensor]]:
    """The sample's stream and its images, normalised: what the official forward pass does first, on the CPU."""
    encoded = model.encoder.encode(sample)
    return encoded, [normalised(pixels) for pixels in encoded.pixels]


def official_loss(model: DepictQA, encoded: Encoded, images: Sequence[torch.Tensor]) -> torch.Tensor:
    """Scalar: of one sample that was `opened`. Call it within `attention(model, "eager")`."""
    embeds = stream(model, encoded, images)
    mask = torch.ones(embeds.shape[:2], dtype=torch.int64, device=embeds.device)
    return token_mean(all_logits(model, embeds, mask), encoded.labels[None].to(embeds.device))


class OffloadedAdam:
    """AdamW whose states, and a copy of what is trained, are on the CPU: gradients go there, parameters come back."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], lr: float = 2e-4) -> None:
        self.device = list(parameters)
        self.host = [torch.nn.Parameter(p.detach().float().cpu()) for p in self.device]
        self.adam = torch.optim.AdamW(self.host, lr, betas=(0.9, 0.95), weight_decay=1e-3)

    def step(self) -> None:
        for host, parameter in zip(self.host, self.device, strict=True):
            host.grad = None if parameter.grad is None else parameter.grad.float().cpu()
        self.adam.step()
        with torch.no_grad():
            for host, parameter in zip(self.host, self.device, strict=True):
                parameter.copy_(host)

    def zero_grad(self) -> None:
        for parameter in self.device:
            parameter.grad = None
