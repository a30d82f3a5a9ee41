"""The model: image features, projected, scattered into the stream of a language model. It composes, nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depictqa.attention import Segments
from depictqa.batch import Batch
from depictqa.encode import Encoder, ImageTokens
from depictqa.generation import Answer, Chosen
from depictqa.image import load_image
from depictqa.loss import Prediction, batch_loss
from depictqa.models.config import ModelConfig
from depictqa.models.language import LanguageModel, legacy_pieces, load_tokenizer
from depictqa.models.projector import Projector
from depictqa.models.vision import VisionTower
from depictqa.official import AnswerLoss, ImageLike, hide_separators, sample_of
from depictqa.sample import Sample, Task


def image_tokens(config: ModelConfig, projector: Projector) -> ImageTokens:
    """One for each patch, unless projector or features have a number of their own."""
    return ImageTokens(projector.fixed_tokens or (1 if config.vision.features == "global" else None))


def build_encoder(config: ModelConfig, projector: Projector, tokenizer: Any) -> Encoder:
    """What turns samples into a model's streams."""
    pieces = legacy_pieces(config.language, tokenizer)
    tokens = image_tokens(config, projector)
    return Encoder(tokenizer, config.prompt, config.image, tokens, config.max_text_tokens, pieces)


class DepictQA(nn.Module):
    """Images and questions in, answers out; `build` makes one from its config, `from_pretrained` reads one."""

    def __init__(
        self, vision: VisionTower, projector: Projector, language: LanguageModel, encoder: Encoder, config: ModelConfig
    ):
        super().__init__()
        self.vision = vision
        self.projector = projector
        self.language = language
        self.encoder = encoder
        self.config = config

    @classmethod
    def build(cls, config: ModelConfig, as_stored: bool = False) -> DepictQA:
        """A model with its frozen weights in place and the rest freshly initialised; `as_stored`: see
        `LanguageModel.build`."""
        tokenizer = load_tokenizer(config.language)
        vision = VisionTower.build(config.vision)
        if vision.patch != config.image.patch:
            raise ValueError(
                f"model.image.patch is {config.image.patch}, but the tower's patches have {vision.patch} pixels; "
                f"set model.image.patch={vision.patch}"
            )
        language = LanguageModel.build(config.language, len(tokenizer), as_stored)
        projector = Projector(vision.width, language.width, config.projector)
        return cls(vision, projector, language, build_encoder(config, projector, tokenizer), config)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str]) -> DepictQA:
        """Open the folder that `save_pretrained` wrote; released weights are `depictqa.official.load_official`'s."""
        from depictqa.pretrained import open_pretrained

        return open_pretrained(Path(path))

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write `config.json` and the trained parameters as `model.safetensors`; see `depictqa.pretrained`."""
        from depictqa.pretrained import save_pretrained

        save_pretrained(self, Path(path))

    @property
    def tokenizer(self):  # type: ignore[no-untyped-def]  # any of transformers' tokenizers
        return self.encoder.tokenizer

    @property
    def device(self) -> torch.device:
        return self.vision.mean.device

    def trained_state_dict(self) -> dict[str, torch.Tensor]:
        """The parameters that the recipe trains, by name; buffers and frozen bases are not in it."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def made_state_dict(self) -> dict[str, torch.Tensor]:
        """The frozen parameters that were made at random, by name: no file has them, so a saved model must."""
        sources = {"vision.": self.config.vision.weights, "language.": self.config.language.path}
        made = tuple(part for part, source in sources.items() if source is None)
        return {name: p for name, p in self.named_parameters() if not p.requires_grad and name.startswith(made)}

    def load_trained_state_dict(self, state: dict[str, torch.Tensor], source: str = "checkpoint") -> None:
        """Copy trained parameters in; ValueError names what is missing, unexpected or of another shape."""
        self._copy_in(self.trained_state_dict(), state, source)

    def load_saved_state_dict(self, state: dict[str, torch.Tensor], source: str) -> None:
        """As `load_trained_state_dict`, with those of `made_state_dict`."""
        self._copy_in(self.trained_state_dict() | self.made_state_dict(), state, source)

    @staticmethod
    def _copy_in(own: dict[str, torch.Tensor], state: dict[str, torch.Tensor], source: str) -> None:
        problems = [f"missing {name}" for name in own if name not in state]
        problems += [f"unexpected {name}" for name in state if name not in own]
        problems += [
            f"{name} has shape {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ]
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise ValueError(
                f"{source} is of another model: {'; '.join(problems[:3])}{more}; use the config it was trained with"
            )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])

    def embed(self, batch: Batch) -> torch.Tensor:
        """[B, T, D]: text embeddings with each image's projected features in its place."""
        embeds = self.language.embed(batch.ids)
        if not batch.pixels:
            return embeds
        features = [self.projector(self.vision(pixels)).flatten(0, 1) for pixels in batch.pixels]
        rows = torch.cat(features)[batch.image_rows].to(embeds.dtype)
        width = embeds.shape[1]
        # Not on a flattened view: a compiled layer tells views and other tensors apart.
        return embeds.index_put((batch.image_positions // width, batch.image_positions % width), rows)

    def forward(self, batch: Batch) -> Prediction:
        """Logits at the positions before each supervised token, with that token as target."""
        mask = positions = segments = None
        if batch.bounds is not None:
            segments = Segments(batch.segments, batch.bounds, batch.longest)
            positions = batch.positions
        elif batch.hidden is not None:
            mask = (batch.segments > 0) & ~batch.hidden
            positions = batch.positions
        chosen = batch.supervised
        logits = self.language(self.embed(batch), chosen - 1, mask, positions, segments=segments)
        labels, weights, samples = (of.flatten()[chosen] for of in (batch.labels, batch.weights, batch.segments))
        return Prediction(logits, labels, weights, samples - 1, batch.num_samples)

    @torch.inference_mode()
    def answer_loss(
        self,
        task: str | Task,
        reference: ImageLike | None,
        image_a: ImageLike | None,
        image_b: ImageLike | None,
        question: str,
        answer: str,
        mask_separators: bool = True,
    ) -> AnswerLoss:
        """Token mean of the loss of one answer.

        `task` is a released task name or a `Task`; images are paths, PIL images or None. `mask_separators` hides each
        `</s>` after the last image from attention, as the released weights were trained (FACTS section 2).
        """
        from depictqa.batch import collate

        if not answer:
            raise ValueError("the answer is empty, so there is nothing to score; give its text")
        encoded = self.encoder.encode(sample_of(task, reference, image_a, image_b, question, answer, load_image))
        if mask_separators:
            encoded.hidden = hide_separators(encoded, self.tokenizer.eos_token_id)
        with _evaluating(self):
            prediction = self(collate([encoded]).to(self.device))
        return AnswerLoss(float(batch_loss(prediction)), len(encoded), prediction.targets.tolist())

    def generate(
        self,
        task: str | Task,
        reference: ImageLike | None,
        image_a: ImageLike | None,
        image_b: ImageLike | None,
        question: str,
        max_new_tokens: int = 400,
    ) -> Answer:
        """The greedy answer to one question; arguments as in `answer_loss`."""
        sample = sample_of(task, reference, image_a, image_b, question, "", load_image)
        return self.answer([sample], max_new_tokens)[0]

    def answer(
        self,
        samples: list[Sample],
        max_new_tokens: int = 400,
        batch_size: int = 16,
        agree: Chosen | None = None,
    ) -> list[Answer]:
        """Greedy answers to many questions; what the samples' last turns answer is ignored. `agree`: see `generate`."""
        from depictqa.generation import generate

        with _evaluating(self):
            return generate(self, samples, max_new_tokens, batch_size, agree)


class _evaluating:
    """Dropout off inside, the former mode restored after."""

    def __init__(self, model: nn.Module):
        self.model, self.training = model, model.training

    def __enter__(self) -> None:
        self.model.eval()

    def __exit__(self, *_: object) -> None:
        self.model.train(self.training)
