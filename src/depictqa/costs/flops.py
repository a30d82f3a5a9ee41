"""Operations (FLOPs) that training on a sample takes, whatever is computed beyond them.

Of a sample of T tokens, S of them supervised, with images of n patches:

    4 N T + 6 A T           N frozen parameters of the decoder layers, A trained ones: LoRA's, or all
    + 6 L D T^2             attention of L layers of width D: causal, so half of 4 D T^2, and twice that in backward
    + 4 V D S               the head, if it is frozen; 6 if it is trained
    + sum over images of 2 M (n + 1) + 4 l d (n + 1)^2 + 6 P n
                            M parameters of the vision tower, l layers of width d (thrice that if it is trained); P of
                            the projector

Each parameter is one multiplication and one addition a token; backward takes as much for gradients of what comes in,
and again as much for those of a trained parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depictqa.models.depictqa import DepictQA


@dataclass(frozen=True)
class FlopCounter:
    """The letters above, of one model."""

    frozen: int  # N
    trained: int  # A
    layers: int  # L
    width: int  # D
    head: int  # V D
    head_trained: bool
    tower: int  # M
    tower_layers: int  # l
    tower_width: int  # d
    tower_trained: bool
    projector: int  # P

    @classmethod
    def of(cls, model: DepictQA) -> FlopCounter:
        """ValueError for a vision tower that is no transformer of open_clip's own."""
        if model.vision.kind != "vit":
            raise ValueError(f"FLOPs are known of CLIP's vision transformers, not of a {model.vision.kind} tower")
        layers, blocks = model.language.layers, _blocks(model)
        tower = [p for p in blocks.parameters() if p.ndim == 2]
        return cls(
            frozen=sum(p.numel() for p in layers.parameters() if p.ndim == 2 and not p.requires_grad),
            trained=sum(p.numel() for p in layers.parameters() if p.requires_grad),
            layers=len(layers),
            width=model.language.width,
            head=model.language.head.weight.numel(),  # type: ignore[operator, union-attr]
            head_trained=bool(model.language.head.weight.requires_grad),
            tower=sum(p.numel() for p in tower),
            tower_layers=len(blocks.resblocks),
            tower_width=model.vision.trunk.conv1.out_channels,  # type: ignore[union-attr, arg-type]
            tower_trained=any(p.requires_grad for p in tower),
            projector=sum(p.numel() for p in model.projector.parameters()),
        )

    def sample(self, tokens: int, supervised: int, patches: Sequence[int]) -> float:
        """FLOPs of a sample with images of so many `patches` each."""
        total = (4.0 * self.frozen + 6 * self.trained) * tokens + 6 * self.layers * self.width * tokens**2
        total += (6 if self.head_trained else 4) * self.head * supervised
        for n in patches:
            seen = 2 * self.tower * (n + 1) + 4 * self.tower_layers * self.tower_width * (n + 1) ** 2
            total += (3 if self.tower_trained else 1) * seen + 6 * self.projector * n
        return total


def _blocks(model: DepictQA) -> Any:
    return model.vision.trunk.transformer
