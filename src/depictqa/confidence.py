"""How sure a model is of what it said: DepictQA-v2's three rules, for one word, for A or B, and for long answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from depictqa.generation import Answer
from depictqa.sample import Sample, Slot
from depictqa.sentence_embedding import Embedder

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA

TAIL = " Answer the question using a single word or phrase."
_ASKED_BRIEFLY = ("single word", "one word", "a word", "single phrase", "one phrase", "a phrase")

LONG = 22
"""Words from which an answer counts as long: brief ones have at most 19 in DepictQA's training, long ones 24."""

HEAVIEST = 30
"""Tokens of a long answer that count."""


def confidences(
    model: DepictQA,
    samples: Sequence[Sample],
    answers: Sequence[Answer],
    embed: Embedder | None = None,
    batch_size: int = 16,
) -> list[float | None]:
    """Of each answer, in 0..1, by the rule that fits it; None where none does.

    A brief answer to a question without `TAIL` is asked again with it. Of a pair, what counts is the probability of
    the letter that the given answer picks; an answer that picks none has no confidence. Long answers need `embed`.
    """
    found: list[float | None] = [None] * len(samples)
    brief = [index for index, answer in enumerate(answers) if not is_long(answer.text)]
    pairs = [index for index in brief if Slot.B in samples[index].images]
    single = [index for index in brief if Slot.B not in samples[index].images]
    again = [index for index in single if not asked_briefly(samples[index])]
    shorter = dict(zip(again, model.answer([_briefly(samples[i]) for i in again], 64, batch_size), strict=True))
    for index in single:
        found[index] = word_confidence(shorter.get(index, answers[index]), model.tokenizer)
    for index, value in zip(pairs, _of_pairs(model, samples, answers, pairs, batch_size), strict=True):
        found[index] = value
    if embed is not None:
        for index in set(range(len(answers))) - set(brief):
            found[index] = long_confidence(answers[index], model.tokenizer, embed)
    return found


def is_long(text: str) -> bool:
    return len(text.split()) >= LONG


def word_confidence(answer: Answer, tokenizer: Any) -> float | None:
    """Mean probability of the tokens of a brief answer such as `noise and blur`, the word `and` skipped.

    The end token and tokens that spell nothing but space do not count. None for an answer without words.
    """
    ends = _spelled(answer, tokenizer)
    text = tokenizer.decode(answer.token_ids, skip_special_tokens=True)
    joints = [match.span() for match in re.finditer(r"\band\b", text, re.IGNORECASE)]
    kept = []
    for start, end, probability in zip([0, *ends], ends, answer.token_probs, strict=False):
        in_joint = any(start < right and left < end for left, right in joints)
        if text[start:end].strip() and not in_joint:
            kept.append(probability)
    return float(np.mean(kept)) if kept else None


def long_confidence(answer: Answer, tokenizer: Any, embed: Embedder, heaviest: int = HEAVIEST) -> float | None:
    """Mean probability of the tokens that carry the meaning of a long answer, weighted by how much they do.

    A token weighs 1 - the cosine similarity of the embeddings of the text with and without it; the `heaviest` count.
    `embed` is called once. None where no token changes anything.
    """
    ids = answer.token_ids
    without = [tokenizer.decode(ids[:i] + ids[i + 1 :], skip_special_tokens=True) for i in range(len(ids))]
    texts = [tokenizer.decode(ids, skip_special_tokens=True), *without]
    vectors = np.asarray(embed(texts), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(f"the embedder made {vectors.shape} of {len(texts)} texts; it must give one row for each")
    if not np.isfinite(vectors).all():
        raise ValueError("the embedder gave a number that is not finite")
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors[1:] @ vectors[0] / np.maximum(lengths[1:] * lengths[0], 1e-12)
    weights = np.where([text == texts[0] for text in without], 0.0, np.clip(1 - cosine, 0, None))
    top = np.argsort(-weights, kind="stable")[:heaviest]
    if not weights[top].sum() > 0:
        return None
    return float(np.average(np.asarray(answer.token_probs)[top], weights=weights[top]))


def _of_pairs(
    model: DepictQA, samples: Sequence[Sample], answers: Sequence[Answer], pairs: Sequence[int], batch_size: int
) -> list[float | None]:
    from depictqa.parsing import parse_preference
    from depictqa.scoring import ANSWERS, next_log_probs

    asked = [samples[i] if asked_briefly(samples[i]) else _briefly(samples[i]) for i in pairs]
    probabilities = next_log_probs(model, asked, ANSWERS, batch_size).exp().tolist()
    picked = [parse_preference(answers[index].text).better for index in pairs]
    columns = {Slot.A: 0, Slot.B: 1}
    return [each[columns[slot]] if slot else None for each, slot in zip(probabilities, picked, strict=True)]


def _spelled(answer: Answer, tokenizer: Any) -> list[int]:
    """How many characters the first k tokens spell, for k = 1..n: never falling."""
    lengths = [
        len(tokenizer.decode(answer.token_ids[: k + 1], skip_special_tokens=True)) for k in range(len(answer.token_ids))
    ]
    return np.maximum.accumulate(lengths).tolist() if lengths else []


def asked_briefly(sample: Sample) -> bool:
    return any(words in sample.dialogue[-1].question.lower() for words in _ASKED_BRIEFLY)


def _briefly(sample: Sample) -> Sample:
    turn = sample.dialogue[-1]
    return replace(sample, dialogue=(*sample.dialogue[:-1], replace(turn, question=turn.question + TAIL)))
