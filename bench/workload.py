"""Models and samples of `bench/train_step.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datamodules.indexed import IndexedShards
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.costs.architectures import LANGUAGE, VISION
from depictqa.costs.flops import FlopCounter
from depictqa.encode import IGNORE_INDEX, Encoded
from depictqa.image import ImageGeometry
from depictqa.models.config import LanguageConfig, ModelConfig, ProjectorConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.prompt import PromptStyle
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import random_image

REASONING = "Image A is clearly better than Image B, since Image B shows severe noise. " * 3
MIX = (  # kinds of samples in the paper's recipe, about as often as there: 2.2 images each
    *[(Task.COMPARISON, tuple(Slot), "Image A")] * 8,
    *[(Task.COMPARISON, (Slot.A, Slot.B), "Image B")] * 7,
    *[(Task.REASONING, tuple(Slot), REASONING)] * 3,
    *[(Task.REASONING, (Slot.A, Slot.B), REASONING)] * 2,
    *[(Task.CONTENT, (Slot.A,), "A red flower stands before dark green leaves in soft light. " * 3)] * 4,
)


@dataclass(frozen=True)
class Size:
    """A model and what it is trained on: images of `side` px, in packs of about `pack_length` tokens."""

    vision: dict[str, Any]
    language: dict[str, Any]
    image: ImageGeometry
    side: int
    pack_length: int
    dtype: str = "float32"


SIZES = {
    "tiny": Size(
        {"image_size": 56, "patch_size": 14, "width": 32, "layers": 1, "heads": 2, "mlp_ratio": 2.0, "output_dim": 16},
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
        ImageGeometry(short_side=56, long_side=168, min_side=28),
        side=64,
        pack_length=1024,
    ),
    "small": Size(  # samples of the paper's shape, in a model of a small width
        {"image_size": 224, "patch_size": 14, "width": 128, "layers": 3, "heads": 2, "mlp_ratio": 4., "output_dim": 64},
        {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 8, "num_attention_heads": 4},
        ImageGeometry(),
        side=256,
        pack_length=4096,
    ),
    "paper": Size(
        VISION["ViT-L-14"],
        LANGUAGE["llama-7b"],
        ImageGeometry(),
        side=256,
        pack_length=8192,
        dtype="bfloat16",
    ),
}  # fmt: skip
VOCABULARY = {"tiny": 512, "small": 32000, "paper": 32000}


def build_model(size: str, tokenizer: Path, device: torch.device) -> DepictQA:
    """Random weights, made on the device."""
    chosen = SIZES[size]
    language = {"model_type": "llama", "vocab_size": VOCABULARY[size], "max_position_embeddings": 4096}
    config = ModelConfig(
        vision=VisionConfig(architecture=chosen.vision, dtype=chosen.dtype),
        projector=ProjectorConfig(),
        language=LanguageConfig(
            tokenizer=str(tokenizer), dtype=chosen.dtype, architecture={**language, **chosen.language}
        ),
        prompt=PromptStyle(),
        image=chosen.image,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = DepictQA.build(config)
    return model.to(device).train()


def write_samples(folder: Path, size: str, num: int, form: dict[str, Any]) -> IndexedShards:
    side = SIZES[size].side
    with ShardWriter(folder, "train", source="made", licence="x", seed=0, **form) as writer:
        for number in range(num):
            task, slots, answer = MIX[number * 7 % len(MIX)]  # 7: kinds follow one another as in a shuffled epoch
            images = {slot: random_image((side, side), 10 * number + i) for i, slot in enumerate(slots)}
            asked = RecordSample(task, slots, (Turn("Which image is better?", answer),), Truth())
            writer.write(Record(f"{number:05d}", images, (asked,)))
    return IndexedShards(folder, "train")


def model_flops(model: DepictQA, encoded: Encoded) -> float:
    """The same for every rung."""
    supervised = int((encoded.labels != IGNORE_INDEX).sum())
    return FlopCounter.of(model).sample(len(encoded), supervised, encoded.image_lengths)
