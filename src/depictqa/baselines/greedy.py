"""Greedy decoding of a transformers model that keeps how sure it was of each token, and of A against B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Decoded:
    """`probabilities` of the text's tokens, the end token left out. `odds` of `a` against `b` where the text first
    says one of the letters; empty where it says neither.
    """

    text: str
    probabilities: list[float]
    odds: dict[str, float] = field(default_factory=dict)


def letter_ids(tokenizer: Any) -> dict[str, list[int]]:
    """The tokens of a lone `A` and of `B`, at the start of an answer and after the word `Image`."""
    ids: dict[str, list[int]] = {}
    for slot, letter in (("a", "A"), ("b", "B")):
        ends = {tokenizer.encode(text, add_special_tokens=False)[-1] for text in (letter, f"Image {letter}")}
        ids[slot] = sorted(one for one in ends if tokenizer.decode([one]).strip() == letter)
    return ids


def decode_greedily(
    model: Any, tokenizer: Any, inputs: Mapping[str, Tensor], max_new_tokens: int, letters: dict[str, list[int]]
) -> list[Decoded]:
    """An answer a row of `inputs` (padded on the left). The model's own generation settings, such as a temperature or
    a penalty of repetition, do not count, but for its end tokens.
    """
    from transformers import GenerationConfig, LogitsProcessorList

    ends = _end_ids(model, tokenizer)
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )
    watch = _Watch(letters)
    own, model.generation_config = model.generation_config, config  # else what `config` leaves open comes from there
    try:
        with torch.inference_mode():
            ids = model.generate(**inputs, generation_config=config, logits_processor=LogitsProcessorList([watch]))
    finally:
        model.generation_config = own
    new = ids[:, inputs["input_ids"].shape[1] :].tolist()
    sure, odds = watch.kept()
    return [_decoded(tokenizer, row, ends, sure[n], odds[n], letters) for n, row in enumerate(new)]


class _Watch:
    """Keeps three numbers a row and step, in place of the scores of the whole vocabulary."""

    def __init__(self, letters: dict[str, list[int]]) -> None:
        self.letters = letters
        self.sure: list[Tensor] = []
        self.odds: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        probabilities = scores.float().softmax(-1)
        self.sure.append(probabilities.amax(-1))
        self.odds.append(torch.stack([probabilities[:, self.letters[slot]].sum(-1) for slot in ("a", "b")], -1))
        return scores

    def kept(self) -> tuple[list[list[float]], list[list[list[float]]]]:
        """By row and step: the probability of the token taken, and those of A and B."""
        return torch.stack(self.sure, 1).tolist(), torch.stack(self.odds, 1).tolist()


def _decoded(
    tokenizer: Any,
    ids: list[int],
    ends: list[int],
    sure: list[float],
    odds: list[list[float]],
    letters: dict[str, list[int]],
) -> Decoded:
    length = next((n for n, token in enumerate(ids) if token in ends), len(ids))
    ids = ids[:length]
    said = next((n for n, token in enumerate(ids) if _is_choice(tokenizer, ids[:n], token, letters)), None)
    found = {}
    if said is not None and sum(odds[said]) > 0:
        a, b = odds[said]
        found = {"a": a / (a + b), "b": b / (a + b)}
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Decoded(text, sure[:length], found)


def _is_choice(tokenizer: Any, before: list[int], token: int, letters: dict[str, list[int]]) -> bool:
    """A letter that opens the answer or follows the word `Image`: elsewhere `A` is an article."""
    if token not in letters["a"] and token not in letters["b"]:
        return False
    said = tokenizer.decode(before, skip_special_tokens=True).strip(" *(\"'\n").lower()
    return not said or said.endswith(("image", "option", "answer:"))


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    own = model.generation_config.eos_token_id
    ids = own if isinstance(own, list) else [own]
    return sorted({one for one in (*ids, tokenizer.eos_token_id) if one is not None})
