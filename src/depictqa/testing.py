"""Small real parts for tests: a tokenizer, a model and samples of the classes that full size uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from depictqa.image import ImageGeometry
from depictqa.models.config import LanguageConfig, ModelConfig, ProjectorConfig, VisionConfig
from depictqa.prompt import PromptStyle
from depictqa.sample import Sample, Slot, Task, Truth, Turn

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA

TEXTS = (
    "Which image is better? Answer the question using a single word or phrase.",
    "Image A",
    "Image B",
    "Image A is clearly better than Image B, since Image B shows severe noise.",
    "Moderate blur is visible. Brightness, color and noise are fine. The overall quality is poor.",
    "Reference Image: <Img-Reference> </Img-Reference> <Img-A> </Img-A> <Img-B> </Img-B> <Img> </Img>",
    "Assess the image quality. Describe the image content. USER: ASSISTANT: ",
    "A red flower stands before dark green leaves in soft light.",
)


def tiny_tokenizer(folder: Path, texts: tuple[str, ...] = TEXTS, vocab_size: int = 320) -> Path:
    """A LLaMA tokenizer folder with a SentencePiece vocabulary of its own; returns `folder`."""
    from depictqa.tokenizer import train_tokenizer

    train_tokenizer(list(texts), folder, vocab_size)
    return folder


def tiny_config(tokenizer: Path, **changes: object) -> ModelConfig:
    """A model of a few thousand parameters: patches of 14 pixels, images scaled to 28..56, tuned in full.

    `changes` replace whole parts: `language=LanguageConfig(...)`.
    """
    config = ModelConfig(
        vision=VisionConfig(
            architecture={
                "image_size": 56, "patch_size": 14, "width": 32, "layers": 2, "heads": 2, "mlp_ratio": 2.0,
                "output_dim": 16,
            },
            trainable=True,
        ),
        projector=ProjectorConfig(num_queries=3, num_layers=1, num_heads=2, feedforward=32),
        language=LanguageConfig(
            tokenizer=str(tokenizer),
            tuning="full",
            architecture={
                "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 1024,
            },
        ),
        prompt=PromptStyle(),
        image=ImageGeometry(short_side=42, long_side=84, min_side=28, crop_min_side=28),
    )  # fmt: skip
    for name, value in changes.items():
        assert hasattr(config, name), name
        setattr(config, name, value)
    return config


def tiny_model(tokenizer: Path, seed: int = 0, **changes: object) -> DepictQA:
    """`tiny_config` built with the weights of `seed`, in evaluation mode."""
    import torch

    from depictqa.models.depictqa import DepictQA

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DepictQA.build(tiny_config(tokenizer, **changes)).eval()


def overfit(model: DepictQA, samples: Sequence[Sample], steps: int, learning_rate: float = 3e-3) -> float:
    """Train a model on the same samples at every step, so that it answers them as they are answered; the last loss."""
    import torch

    from depictqa.batch import collate
    from depictqa.loss import batch_loss

    batch = collate([model.encoder.encode(sample) for sample in samples])
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, learning_rate)
    model.train()
    loss = torch.tensor(float("nan"))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = batch_loss(model(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    model.eval()
    return loss.item()


def random_image(size: tuple[int, int] = (64, 64), seed: int = 0) -> Image.Image:
    """A smooth random RGB picture of (width, height)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def make_sample(
    task: Task = Task.COMPARISON,
    sizes: Mapping[Slot, tuple[int, int]] | None = None,
    question: str = "Which image is better?",
    answer: str = "Image A",
    key: str = "made",
    truth: Truth | None = None,
    seed: int = 0,
) -> Sample:
    """A sample with random pictures of (width, height) in its slots; by default both images of a comparison."""
    if sizes is None:
        sizes = {Slot.A: (64, 64), Slot.B: (64, 64)} if task.compares else {Slot.A: (64, 64)}
    images = {slot: random_image(size, seed * 10 + number) for number, (slot, size) in enumerate(sizes.items())}
    return Sample(key, task, images, (Turn(question, answer),), truth or Truth())


def mixed_samples() -> list[Sample]:
    """Tasks, image counts and image sizes mixed, as a batch must take them."""
    return [
        make_sample(key="compare", seed=1),
        make_sample(
            key="compare_ref",
            sizes={Slot.REFERENCE: (64, 64), Slot.A: (64, 64), Slot.B: (64, 64)},
            answer="Image B",
            seed=2,
        ),
        make_sample(
            Task.DESCRIPTION, {Slot.A: (90, 30)}, "Describe it.", "Moderate blur is visible.", "describe", seed=3
        ),
        make_sample(
            Task.REASONING,
            {Slot.A: (50, 40), Slot.B: (30, 100)},
            "Compare.",
            "Image A is clearly better.",
            "reason",
            seed=4,
        ),
        make_sample(Task.CONTENT, {Slot.A: (64, 48)}, "What is there?", "A red flower stands.", "content", seed=5),
    ]
