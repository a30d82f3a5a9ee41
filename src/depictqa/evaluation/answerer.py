"""Who answers: a model in words, or anything else that can say which image is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from depictqa.evaluation.reading import read_answer
from depictqa.sample import Sample, Task

if TYPE_CHECKING:
    from depictqa.generation import Answer
    from depictqa.models.depictqa import DepictQA
    from depictqa.sentence_embedding import Embedder

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
    """`name` goes into results. One with `needs_reference` is only asked about samples that have one, one with `tasks`
    only those (None: all)."""

    @property
    def name(self) -> str: ...
    @property
    def needs_reference(self) -> bool: ...
    @property
    def tasks(self) -> Collection[Task] | None: ...

    def answer(self, samples: Sequence[Sample]) -> Sequence[Reply]:
        """One reply a sample, in order."""
        ...


class ModelAnswerer:
    """A `DepictQA`, decoded greedily.

    Confidence in 0..1 (`depictqa.confidence`, without asking again): of a comparison the probability of the letter that
    the answer picks, right after the word `Image`, where A against B also gives the `scores`; of a named distortion the
    mean probability of its tokens; of a long answer, where there is an `embed`, their mean by weight. Of any other
    answer the mean probability of all its tokens.
    """

    needs_reference = False
    tasks = None

    def __init__(
        self,
        model: DepictQA,
        max_new_tokens: int = 400,
        batch_size: int = 16,
        name: str = MODEL,
        embed: Embedder | None = None,
    ) -> None:
        self.model = model
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.name = name
        self.embed = embed

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        answers = self.model.answer(list(samples), self.max_new_tokens, self.batch_size)
        odds = self._odds([sample for sample in samples if sample.task is Task.COMPARISON])
        replies = []
        for sample, answer in zip(samples, answers, strict=True):
            if sample.task is Task.COMPARISON:
                scores, sure = next(odds)
                parsed, _ = read_answer(sample.task, answer.text, sample.images)
                confidence = sure.get(parsed["better"]) if parsed else None
                replies.append(Reply(answer.text, confidence, scores))
            else:
                replies.append(Reply(answer.text, self._confidence(sample.task, answer)))
        return replies

    def _confidence(self, task: Task, answer: Answer) -> float | None:
        from depictqa.confidence import is_long, long_confidence, word_confidence

        if task is Task.IDENTIFICATION:
            return word_confidence(answer, self.model.tokenizer)
        if self.embed is not None and is_long(answer.text):
            return long_confidence(answer, self.model.tokenizer, self.embed)
        return mean_probability(answer.token_probs)

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

    def _odds(self, samples: Sequence[Sample]) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
        """By slot: A against B, and each letter against the whole vocabulary."""
        from depictqa.scoring import ANSWERS, next_log_probs

        log_probs = next_log_probs(self.model, samples, ANSWERS, self.batch_size)
        for (p, _), (a, b) in zip(log_probs.softmax(-1).tolist(), log_probs.exp().tolist(), strict=True):
            yield {"a": p, "b": 1 - p}, {"a": a, "b": b}


def mean_probability(token_probs: Sequence[float]) -> float | None:
    """None for an answer without tokens."""
    return float(sum(token_probs) / len(token_probs)) if len(token_probs) else None
