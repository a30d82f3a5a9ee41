"""A or B from logits, in one forward: how sure the model is of a brief comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from depictqa.batch import collate
from depictqa.encode import IGNORE_INDEX, Encoded
from depictqa.sample import Sample

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA

ANSWERS = ("Image A", "Image B")


@torch.inference_mode()
def probability_of_a(model: DepictQA, samples: Sequence[Sample], batch_size: int = 16) -> torch.Tensor:
    """[N] probability of "A" against "B" after the answer's "Image", each sample's last turn being asked.

    It is above one half where greedy decoding, once it has said "Image", says "A" rather than "B".
    """
    training = model.training
    model.eval()
    try:
        parts = [
            _probabilities(model, samples[start : start + batch_size]) for start in range(0, len(samples), batch_size)
        ]
    finally:
        model.train(training)
    return torch.cat(parts) if parts else torch.empty(0)


def _probabilities(model: DepictQA, samples: Sequence[Sample]) -> torch.Tensor:
    streams, letters = [], []
    for sample in samples:
        first, second = (model.encoder.encode(_answered(sample, answer)) for answer in ANSWERS)
        column = int((first.ids[: len(second)] != second.ids[: len(first)]).nonzero()[0])
        if first.labels[column] == IGNORE_INDEX:
            raise ValueError("the question fills all of max_text_tokens; shorten it or raise model.max_text_tokens")
        letters.append((int(first.ids[column]), int(second.ids[column])))
        streams.append(_cut(first, column))
    batch = collate(streams, left=True).to(model.device)
    size, width = batch.ids.shape
    rows = torch.arange(size, device=batch.ids.device) * width + width - 1
    logits = model.language(model.embed(batch), rows, batch.segments > 0, batch.positions)
    pair = logits.float().cpu().gather(1, torch.tensor(letters))
    return pair.softmax(-1)[:, 0]


def _answered(sample: Sample, answer: str) -> Sample:
    return replace(sample, dialogue=(*sample.dialogue[:-1], replace(sample.dialogue[-1], answer=answer)))


def _cut(encoded: Encoded, length: int) -> Encoded:
    return replace(encoded, ids=encoded.ids[:length], labels=encoded.labels[:length])
