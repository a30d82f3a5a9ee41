"""Greedy answers, many at a time; an answer does not depend on its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from depictqa.batch import collate
from depictqa.sample import Sample

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA


@dataclass(frozen=True)
class Answer:
    """What a model said. `token_ids` ends with `</s>` where the answer was finished; `token_probs` are the
    probabilities of those tokens."""

    text: str
    token_ids: list[int]
    token_probs: list[float]


def as_questions(samples: Iterable[Sample]) -> list[Sample]:
    """The samples with their last turn open, for a model to answer."""
    return [
        replace(sample, dialogue=(*sample.dialogue[:-1], replace(sample.dialogue[-1], answer=""))) for sample in samples
    ]


Chosen = Callable[[torch.Tensor], torch.Tensor]


@torch.inference_mode()
def generate(
    model: DepictQA,
    samples: Sequence[Sample],
    max_new_tokens: int = 400,
    batch_size: int = 16,
    agree: Chosen | None = None,
) -> list[Answer]:
    """The greedy answer to each sample's last question, in the order of `samples`.

    Prompts of similar length share a batch; padding stands on the left and is never attended to. `agree` may change
    the tokens [B] of a step: processes that share a model all take those of one of them.
    """
    encoded = [model.encoder.encode(sample) for sample in as_questions(samples)]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = collate([encoded[index] for index in chosen], left=True).to(model.device)
        ids, probs = _decode(model, batch, max_new_tokens, agree)
        for row, index in enumerate(chosen):
            answers[index] = _answer(model, ids[row], probs[row])
    return [answers[index] for index in range(len(samples))]


def _decode(
    model: DepictQA, batch: Any, max_new_tokens: int, agree: Chosen | None = None
) -> tuple[list[list[int]], list[list[float]]]:
    """Token ids [B, <= max_new_tokens] and their probabilities; a finished row goes on with anything until all are."""
    from transformers import DynamicCache

    language, end = model.language, model.tokenizer.eos_token_id
    size, width = batch.ids.shape
    mask, position = batch.segments > 0, batch.positions[:, -1:]
    last = torch.arange(size, device=mask.device)
    cache = DynamicCache()
    logits = language(model.embed(batch), last * width + width - 1, mask, batch.positions, cache)
    ids, probs, finished = [], [], torch.zeros(size, dtype=torch.bool, device=mask.device)
    for step in range(max_new_tokens):
        probability, token = logits.float().softmax(-1).max(-1)
        token = token if agree is None else agree(token)
        ids.append(token)
        probs.append(probability)
        finished |= token == end
        if step + 1 == max_new_tokens or bool(finished.all()):
            break
        position = position + 1
        mask = torch.cat([mask, mask.new_ones(size, 1)], dim=1)
        logits = language(language.embed(token[:, None]), last, mask, position, cache)
    return torch.stack(ids, 1).tolist() if ids else [[]] * size, torch.stack(probs, 1).tolist() if ids else [[]] * size


def _answer(model: DepictQA, ids: list[int], probs: list[float]) -> Answer:
    end = model.tokenizer.eos_token_id
    length = ids.index(end) + 1 if end in ids else len(ids)
    text = model.tokenizer.decode(ids[:length], skip_special_tokens=True).strip()
    return Answer(text, ids[:length], probs[:length])
