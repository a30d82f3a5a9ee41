"""PSNR and SSIM as answerers: the image with the larger similarity to the reference is the better one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from depictqa.evaluation.answerer import Reply
from depictqa.metrics.accuracy import TIE
from depictqa.sample import Sample, Slot

IDENTICAL_PSNR = 200.0
"""dB, in place of infinity for an image equal to its reference: above any other pair of 8-bit images, and a
number that JSON has.
"""

Similarity = Callable[[Tensor, Tensor], Tensor]
"""Two [N, 3, H, W] in 0..1, the images and their references -> [N], larger is more alike."""


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Over all pixels and channels of each image, in dB."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    values = peak_signal_noise_ratio(images, references, data_range=1.0, reduction="none", dim=(1, 2, 3))
    return values.clamp(max=IDENTICAL_PSNR)


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Gaussian window of 11 pixels, sigma 1.5, mean over channels: torchmetrics' default, as in Wang et al.
    2004.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = structural_similarity_index_measure(images, references, data_range=1.0, reduction="none")
    assert isinstance(values, Tensor)
    return values


class PixelMetric:
    """Answers comparisons by a similarity to the reference, at the images' own size (no resizing, no crop).

    Tie rule: exactly equal values are a tie, which the accuracy counts half, as 2AFC does. Images of another
    size than the reference, or smaller than `min_side`, have no value: the reply says so and counts as not
    parsed.
    """

    needs_reference = True

    def __init__(self, name: str, similarity: Similarity, min_side: int = 1) -> None:
        self.name = name
        self.similarity = similarity
        self.min_side = min_side

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        return [self._answer(sample) for sample in samples]

    def _answer(self, sample: Sample) -> Reply:
        sizes = {slot: sample.images[slot].size for slot in (Slot.REFERENCE, Slot.A, Slot.B)}
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{slot} {width}x{height}" for slot, (width, height) in sizes.items())
            return Reply("", reason=f"{self.name} needs images of one size, got {found}")
        if min(sizes[Slot.REFERENCE]) < self.min_side:
            return Reply("", reason=f"{self.name} needs {self.min_side} pixels a side, got {sizes[Slot.REFERENCE]}")
        pixels = {slot: _pixels(sample, slot) for slot in sizes}
        images = torch.stack([pixels[Slot.A], pixels[Slot.B]])
        a, b = self.similarity(images, pixels[Slot.REFERENCE].expand_as(images)).tolist()
        scores = {"a": a, "b": b}
        if a == b:
            return Reply("Both images are alike.", scores=scores, parsed={"better": TIE})
        better = "a" if a > b else "b"
        return Reply(f"Image {better.upper()}", scores=scores, parsed={"better": better})


def baselines() -> list[PixelMetric]:
    """The rows beside the model's; all need a reference."""
    return [PixelMetric("psnr", psnr), PixelMetric("ssim", ssim, min_side=11)]


def _pixels(sample: Sample, slot: Slot) -> Tensor:
    """[3, H, W] float32 in 0..1."""
    array = np.array(sample.images[slot].convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(array).permute(2, 0, 1)
