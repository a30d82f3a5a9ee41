"""Other multimodal language models as answerers: any image-text-to-text model of transformers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from PIL import Image

from depictqa.baselines.greedy import Decoded, decode_greedily, letter_ids
from depictqa.baselines.layout import INTERLEAVED, Pictures, check_layout, laid_out
from depictqa.baselines.model_folder import find_model
from depictqa.evaluation.answerer import Reply, mean_probability
from depictqa.prompt import without_marker
from depictqa.sample import Sample, Task, Turn

logger = logging.getLogger(__name__)


@dataclass
class VisionLanguage:
    """Answers every task in its own words, decoded greedily in float32 on a CPU, else in the weights' own `dtype`.

    `path` is a folder or a hub id; the model is opened at its first question. With `layout` interleaved each image
    stands behind its name; with side_by_side a model of one image gets one picture (`side_by_side`). `template` takes
    the place of the processor's chat template: a turn with `{images}` and `{question}` in it.

    Prompts of a batch are padded on the left and masked, so that an answer is that of the sample alone; a processor
    that takes no batch is given one sample at a time. Confidence is the mean probability of the answer's tokens; the
    `scores` of a comparison are A against B where the answer first says one of them.
    """

    name: str
    path: str | None
    layout: str = INTERLEAVED
    template: str | None = None
    max_new_tokens: int = 400
    batch_size: int = 8
    dtype: str = "auto"
    accelerator: str = "auto"
    group: str | None = None
    needs_reference: ClassVar[bool] = False
    tasks: ClassVar[frozenset[Task] | None] = None
    _largest: int | None = field(default=None, init=False, repr=False)

    @property
    def _group(self) -> str:
        """The options' own, in messages."""
        return self.group or f"baseline.{self.name}"

    def check(self) -> None:
        """One line, before anything long runs, where an option is wrong, or no model of images and text is there."""
        check_layout(self.layout, self.name, self._group)
        if self.dtype != "auto" and not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise ValueError(
                f"baseline '{self.name}' has no dtype '{self.dtype}' ({self._group}.dtype); "
                "known: auto, float32, bfloat16, float16"
            )
        if self.template is not None and not all(key in self.template for key in ("{images}", "{question}")):
            raise ValueError(
                f"baseline '{self.name}': the template '{self.template}' lacks {{images}} or {{question}} "
                f"({self._group}.template)"
            )
        _ = self.processor

    @cached_property
    def folder(self) -> Any:
        if not self.path:
            raise ValueError(f"baseline '{self.name}' needs a model: {self._group}.path=DIR_OR_HUB_ID")
        return find_model(self.path, self.name, self._group)

    @cached_property
    def device(self) -> torch.device:
        return torch.device("cuda" if self.accelerator != "cpu" and torch.cuda.is_available() else "cpu")

    @cached_property
    def processor(self) -> Any:
        from transformers import AutoProcessor

        folder = self.folder
        try:
            processor = AutoProcessor.from_pretrained(folder)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise self._unfit("processor", error) from error
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None or getattr(processor, "image_processor", None) is None:
            raise ValueError(f"baseline '{self.name}': '{self.path}' has no processor of images and text")
        if self.template is None and not processor.chat_template:
            raise ValueError(
                f"baseline '{self.name}': '{self.path}' has no chat template; give one "
                f"({self._group}.template='USER: {{images}}{{question}} ASSISTANT:')"
            )
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return processor

    @cached_property
    def model(self) -> Any:
        from transformers import AutoModelForImageTextToText

        dtype: Any = torch.float32 if self.device.type == "cpu" else "auto"
        if self.dtype != "auto":
            dtype = getattr(torch, self.dtype)
        try:
            model: Any = AutoModelForImageTextToText.from_pretrained(self.folder, dtype=dtype)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise self._unfit("image-text-to-text model", error) from error
        return model.to(self.device).eval()

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        replies: list[Reply] = []
        while len(replies) < len(samples):
            batch = samples[len(replies) : len(replies) + (self._largest or self.batch_size)]
            inputs = self._inputs(batch)
            if inputs is None:
                continue
            letters = letter_ids(self.processor.tokenizer)
            decoded = decode_greedily(self.model, self.processor.tokenizer, inputs, self.max_new_tokens, letters)
            replies += [self._reply(sample, one) for sample, one in zip(batch, decoded, strict=True)]
        return replies

    def prompt(self, sample: Sample) -> tuple[str, list[Image.Image]]:
        """The text with its places for images, and the images in their order."""
        pictures = laid_out(sample, self.layout)
        turns = [Turn(without_marker(turn.question), turn.answer) for turn in sample.dialogue]
        text = self._filled(pictures, turns) if self.template is not None else self._chat(pictures, turns)
        return text, [image for _, image in pictures]

    def _filled(self, pictures: Pictures, turns: Sequence[Turn]) -> str:
        assert self.template is not None
        token = self.processor.image_token
        images = "".join(f"{label} {token}\n".lstrip(" ") for label, _ in pictures)
        text = ""
        for number, turn in enumerate(turns):
            filled = self.template.replace("{images}", images if number == 0 else "")
            text += filled.replace("{question}", turn.question)
            if number + 1 < len(turns):
                text += f" {turn.answer}{self.processor.tokenizer.eos_token or ''}"
        return text

    def _chat(self, pictures: Pictures, turns: Sequence[Turn]) -> str:
        content: list[dict[str, str]] = []
        for label, _ in pictures:
            content += [{"type": "text", "text": label}] if label else []
            content.append({"type": "image"})
        messages = []
        for number, turn in enumerate(turns):
            text = {"type": "text", "text": turn.question}
            messages.append({"role": "user", "content": [*content, text] if number == 0 else [text]})
            if number + 1 < len(turns):
                messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
        return self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def _inputs(self, samples: Sequence[Sample]) -> Any:
        """None where the processor takes no batch: from then on it is given one sample at a time."""
        prompts = [self.prompt(sample) for sample in samples]
        bos = self.processor.tokenizer.bos_token
        begun = bool(bos) and prompts[0][0].startswith(bos)
        try:
            inputs = self.processor(
                text=[text for text, _ in prompts],
                images=[images for _, images in prompts],
                padding=True,
                add_special_tokens=not begun,
                return_tensors="pt",
            )
        except (TypeError, ValueError, IndexError) as error:
            if len(samples) == 1:
                raise
            why = " ".join(str(error).split())[:200]
            logger.info("%s: its processor takes no batch (%s); one sample at a time", self.name, why)
            self._largest = 1
            return None
        return inputs.to(self.device, self.model.dtype)

    def _reply(self, sample: Sample, decoded: Decoded) -> Reply:
        scores = decoded.odds if sample.task is Task.COMPARISON and decoded.odds else {}
        return Reply(decoded.text, mean_probability(decoded.probabilities), scores)

    def _unfit(self, what: str, error: Exception) -> ValueError:
        why = " ".join(str(error).split())[:200]
        return ValueError(f"baseline '{self.name}': '{self.path}' opens as no {what} of transformers ({why})")
