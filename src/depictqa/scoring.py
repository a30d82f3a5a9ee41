"""A or B, or a level of quality, from logits in one forward: what the model would say next, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from depictqa.batch import collate
from depictqa.encode import IGNORE_INDEX, Encoded, Encoder
from depictqa.sample import Sample, Slot

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA

ANSWERS = ("Image A", "Image B")

LEVELS = ("bad", "poor", "fair", "good", "excellent")
"""From worst to best, worth 1 to 5: the levels of ITU-T P.800 and of Q-Align (Wu et al. 2023)."""

LEVEL_ANSWER = "The quality of the image is {level}."


def probability_of_a(model: DepictQA, samples: Sequence[Sample], batch_size: int = 16) -> torch.Tensor:
    """[N] probability of "A" against "B" after the answer's "Image", each sample's last turn being asked.

    It is above one half where greedy decoding, once it has said "Image", says "A" rather than "B".
    """
    return next_log_probs(model, samples, ANSWERS, batch_size).softmax(-1)[:, 0]


def level_probabilities(
    model: DepictQA,
    samples: Sequence[Sample],
    batch_size: int = 16,
    levels: Sequence[str] = LEVELS,
    answer: str = LEVEL_ANSWER,
) -> torch.Tensor:
    """[N, levels] of each level's word against the others where it stands in `answer`."""
    return next_log_probs(model, samples, [answer.format(level=level) for level in levels], batch_size).softmax(-1)


def quality_scores(
    model: DepictQA,
    samples: Sequence[Sample],
    batch_size: int = 16,
    levels: Sequence[str] = LEVELS,
    answer: str = LEVEL_ANSWER,
) -> torch.Tensor:
    """[N] in 1..len(levels), larger is better: the mean over levels, by their probabilities (Q-Align's score).

    `levels` are from worst to best. The model reads each sample's last question, about one image.
    """
    worth = torch.arange(1, len(levels) + 1, dtype=torch.float32)
    return level_probabilities(model, samples, batch_size, levels, answer) @ worth


@torch.inference_mode()
def next_log_probs(
    model: DepictQA, samples: Sequence[Sample], answers: Sequence[str], batch_size: int = 16
) -> torch.Tensor:
    """[N, answers] log-probability, over the whole vocabulary, of each answer's token at the first place where the
    answers differ, after what they share. ValueError where two of them share that token as well.
    """
    training = model.training
    model.eval()
    try:
        parts = [
            _log_probs(model, samples[start : start + batch_size], answers)
            for start in range(0, len(samples), batch_size)
        ]
    finally:
        model.train(training)
    return torch.cat(parts) if parts else torch.empty(0, len(answers))


def stream_to_fork(
    encoder: Encoder,
    sample: Sample,
    answers: Sequence[str],
    pixels: Mapping[Slot, np.ndarray] | None = None,
) -> tuple[Encoded, list[int]]:
    """A sample's stream up to where the answers part, and each answer's token there; errors as in `next_log_probs`.

    The images are prepared once for all answers, or not at all where `pixels` are given (`Encoder.encode`).
    """
    pixels = encoder.prepare(sample) if pixels is None else pixels
    encoded = [encoder.encode(_answered(sample, answer), pixels=pixels) for answer in answers]
    column, tokens = _fork([one.ids for one in encoded])
    if column is None or encoded[0].labels[column] == IGNORE_INDEX:
        raise ValueError("the question fills all of max_text_tokens; shorten it or raise model.max_text_tokens")
    if len(set(tokens)) < len(tokens):
        raise ValueError(f"answers {', '.join(map(repr, answers))} do not part at one token; choose other words")
    return _cut(encoded[0], column), tokens


def _log_probs(model: DepictQA, samples: Sequence[Sample], answers: Sequence[str]) -> torch.Tensor:
    streams, choices = [], []
    for sample in samples:
        stream, tokens = stream_to_fork(model.encoder, sample, answers)
        choices.append(tokens)
        streams.append(stream)
    batch = collate(streams, left=True).to(model.device)
    size, width = batch.ids.shape
    rows = torch.arange(size, device=batch.ids.device) * width + width - 1
    logits = model.language(model.embed(batch), rows, batch.segments > 0, batch.positions)
    return logits.float().log_softmax(-1).cpu().gather(1, torch.tensor(choices))


def common_length(streams: Sequence[torch.Tensor], limit: int | None = None) -> int:
    """How many tokens all streams begin with, at most `limit`."""
    shortest = min(map(len, streams))
    limit = shortest if limit is None else min(limit, shortest)
    differ = torch.zeros(limit, dtype=torch.bool)
    for stream in streams[1:]:
        differ |= stream[:limit] != streams[0][:limit]
    return int(differ.int().argmax()) if differ.any() else limit


def _fork(streams: Sequence[torch.Tensor]) -> tuple[int | None, list[int]]:
    """The first column where some streams differ, and each one's token there; None where none do."""
    column = common_length(streams)
    if column == min(map(len, streams)):
        return None, []
    return column, [int(stream[column]) for stream in streams]


def _answered(sample: Sample, answer: str) -> Sample:
    return replace(sample, dialogue=(*sample.dialogue[:-1], replace(sample.dialogue[-1], answer=answer)))


def _cut(encoded: Encoded, length: int) -> Encoded:
    return replace(encoded, ids=encoded.ids[:length], labels=encoded.labels[:length])
