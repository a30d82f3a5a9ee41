"""Who answers: a model in words, or anything else that can say which image is better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from depictqa.evaluation.reading import read_answer
from depictqa.sample import Sample, Task

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA

MODEL = "depictqa"
"""The name of the model under test in results, files and tables; every other name is a baseline's."""


@dataclass(frozen=True)
class Reply:
    """An answer to one sample. `scores` are by slot, larger is better.

    An answerer without words of its own states in `parsed` what it means, or in `reason` why it cannot
    answer; left open, both are read from `text`.
    """

    text: str
    confidence: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    parsed: Any = None
    reason: str | None = None


class Answerer(Protocol):
    """`name` goes into results. One with `needs_reference` is only asked about samples that have one."""

    name: str
    needs_reference: bool

    def answer(self, samples: Sequence[Sample]) -> Sequence[Reply]:
        """One reply a sample, in order."""
        ...


class ModelAnswerer:
    """A `DepictQA`, decoded greedily.

    Confidence in 0..1 (FACTS section 6): of a comparison the probability of the image that the answer picks,
    A against B right after the word `Image`, which also gives the `scores`; of any other answer the mean
    probability of its tokens.
    """

    needs_reference = False

    def __init__(self, model: DepictQA, max_new_tokens: int = 400, batch_size: int = 16, name: str = MODEL) -> None:
        self.model = model
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.name = name

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        answers = self.model.answer(list(samples), self.max_new_tokens, self.batch_size)
        odds = self._odds([sample for sample in samples if sample.task is Task.COMPARISON])
        replies = []
        for sample, answer in zip(samples, answers, strict=True):
            if sample.task is Task.COMPARISON:
                scores = next(odds)
                parsed, _ = read_answer(sample.task, answer.text, sample.images)
                confidence = scores.get(parsed["better"]) if parsed else None
                replies.append(Reply(answer.text, confidence, scores))
            else:
                replies.append(Reply(answer.text, mean_probability(answer.token_probs)))
        return replies

    def losses(self, samples: Sequence[Sample]) -> list[float | None]:
        """The token mean of each sample's own answer; None where `max_text_tokens` cuts all of it off."""
        import torch

        from depictqa.batch import collate
        from depictqa.loss import sample_losses

        encoded = [self.model.encoder.encode(sample) for sample in samples]
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                prediction = self.model(collate(encoded).to(self.model.device))
                losses = sample_losses(prediction).tolist()
        finally:
            self.model.train(training)
        return [loss if math.isfinite(loss) else None for loss in losses]

    def _odds(self, samples: Sequence[Sample]) -> Iterator[dict[str, float]]:
        from depictqa.scoring import probability_of_a

        for p in probability_of_a(self.model, list(samples), self.batch_size).tolist():
            yield {"a": p, "b": 1 - p}


def mean_probability(token_probs: Sequence[float]) -> float | None:
    """None for an answer without tokens."""
    return float(sum(token_probs) / len(token_probs)) if len(token_probs) else None
