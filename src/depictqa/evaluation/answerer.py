"""Who answers: a model in words, or anything else that can say which image is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from depictqa.evaluation.reading import read_answer
from depictqa.sample import Sample, Task

if TYPE_CHECKING:
    from PIL import Image

    from depictqa.generation import Answer
    from depictqa.models.depictqa import DepictQA
    from depictqa.sentence_embedding import Embedder

MODEL = "depictqa"
"""The name of the model under test in results, files and tables; every other name is a baseline's."""

PAIRS = (Task.COMPARISON, Task.RATING)
"""The tasks that are answered by one of two letters."""

BRIEF_TASKS = (*PAIRS, Task.IDENTIFICATION)


@dataclass(frozen=True)
class Reply:
    """An answer to one sample. `scores` are by slot, larger is better.

    An answerer without words of its own states in `parsed` what it means, or in `reason` why it cannot
    answer; left open, both are read from `text`. `error` says why there is no answer though there might be: a request
    that failed, a line that is not there. It is asked for again when the evaluation is resumed.
    """

    text: str
    confidence: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    parsed: Any = None
    reason: str | None = None
    error: str | None = None


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


class Grader(Protocol):
    """One that can say how good a single image is."""

    name: str
    needs_reference: bool

    def grade(self, samples: Sequence[Sample]) -> Sequence[Reply]:
        """Of samples with image A, beside a reference or alone: `scores` of A alone, larger is better."""
        ...


class Chooser(Protocol):
    """One that can say how surely it prefers A to B: `scores` of both that add up to 1."""

    name: str
    needs_reference: bool

    def choose(self, samples: Sequence[Sample]) -> Sequence[Reply]:
        """Of comparisons, in few words or none."""
        ...

    def choose_all(
        self, images: Sequence[Image.Image], reference: Image.Image | None = None, both_orders: bool = False
    ) -> Mapping[tuple[int, int], Reply]:
        """Of all pairs i < j of images that have one reference, with `both_orders` of all i != j, by (A, B)."""
        ...


class ModelAnswerer:
    """A `DepictQA`, decoded greedily.

    Confidence in 0..1 by the rules of `depictqa.confidence`, which ask brief questions again where they did not want a
    single word: of a comparison the probability of the letter that the answer picks, of named distortions the mean
    probability of their tokens; of a long answer, where there is an `embed`, their mean by weight. Of any other answer
    the mean probability of all its tokens. The `scores` of a comparison are A against B after the word `Image`.
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
        odds = self._odds([sample for sample in samples if sample.task in PAIRS])
        again = self._asked_again(samples, answers)
        replies = []
        for number, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
            scores, sure = next(odds) if sample.task in PAIRS else ({}, {})
            if number in again:
                confidence = again[number]
            elif sample.task in PAIRS:
                parsed, _ = read_answer(sample.task, answer.text, sample.images)
                confidence = sure.get(parsed["better"]) if parsed else None
            else:
                confidence = self._confidence(sample.task, answer)
            replies.append(Reply(answer.text, confidence, scores))
        return replies

    def _asked_again(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> dict[int, float | None]:
        """Confidences of those that did not ask for a single word, by their place."""
        from depictqa.confidence import asked_briefly, confidences, is_long

        places = [
            number
            for number, sample in enumerate(samples)
            if sample.task in BRIEF_TASKS and not asked_briefly(sample) and not is_long(answers[number].text)
        ]
        if not places:
            return {}
        asked, said = [samples[number] for number in places], [answers[number] for number in places]
        return dict(zip(places, confidences(self.model, asked, said, batch_size=self.batch_size), strict=True))

    def grade(self, samples: Sequence[Sample]) -> list[Reply]:
        """The mean over level words (`depictqa.scoring.quality_scores`), 1 to 5; the words are the likeliest level's,
        the confidence its probability among the levels."""
        from depictqa.scoring import LEVEL_ANSWER, LEVELS, level_probabilities

        replies = []
        for levels in level_probabilities(self.model, samples, self.batch_size).tolist():
            score = sum(worth * p for worth, p in enumerate(levels, 1))
            text = LEVEL_ANSWER.format(level=LEVELS[levels.index(max(levels))])
            replies.append(Reply(text, _short(max(levels)), {"a": _short(score)}, parsed={"score": _short(score)}))
        return replies

    def choose(self, samples: Sequence[Sample]) -> list[Reply]:
        """From the logits of A and B alone; the confidence is that of the letter chosen, against the other."""
        from depictqa.scoring import probability_of_a

        return [_choice(p) for p in probability_of_a(self.model, samples, self.batch_size).tolist()]

    def choose_all(
        self, images: Sequence[Image.Image], reference: Image.Image | None = None, both_orders: bool = False
    ) -> dict[tuple[int, int], Reply]:
        """As `choose`, by what the pairs' streams share (`depictqa.voting`)."""
        from depictqa.voting import plan_votes, run_votes

        plan = plan_votes(self.model.encoder, images, reference, both_orders=both_orders)
        shares = run_votes(self.model, plan, self.batch_size)
        return {(i, j): _choice(float(shares[i, j])) for i, j in (~shares.isnan()).nonzero().tolist()}

    def _confidence(self, task: Task, answer: Answer) -> float | None:
        from depictqa.confidence import is_long, long_confidence, word_confidence

        if self.embed is not None and is_long(answer.text):
            return long_confidence(answer, self.model.tokenizer, self.embed)
        if task is Task.IDENTIFICATION:
            return word_confidence(answer, self.model.tokenizer)
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


def _choice(p: float) -> Reply:
    """Of a model that gives A the probability `p` against B."""
    p = _short(p)
    letter = "A" if p > 0.5 else "B"
    confidence = _short(max(p, 1 - p))
    return Reply(f"Image {letter}", confidence, {"a": p, "b": _short(1 - p)}, parsed={"better": letter.lower()})


def _short(number: float) -> float:
    """As far as float32 tells: results may have 100,000 lines."""
    return round(number, 8)


def mean_probability(token_probs: Sequence[float]) -> float | None:
    """None for an answer without tokens."""
    return float(sum(token_probs) / len(token_probs)) if len(token_probs) else None
