"""A benchmark is its samples and what is kept of the answers to them; how good they are is `score`'s
business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from depictqa.evaluation.answerer import Answerer, ModelAnswerer, Reply
from depictqa.evaluation.reading import read_answer
from depictqa.evaluation.result import Result, Seen, make_result
from depictqa.evaluation.swap import original_key
from depictqa.sample import Sample


class Benchmark(Protocol):
    """`samples` may be lazy: one is only opened when it is asked about."""

    @property
    def name(self) -> str: ...
    @property
    def samples(self) -> Sequence[Sample]: ...

    def fits(self, answerer: Any, seen: Seen) -> bool:
        """Whether an answerer is asked about a sample."""
        ...

    def ask(self, answerer: Any, samples: Sequence[Sample]) -> list[Result]:
        """A result for each of some of its samples."""
        ...

    def unread(self, answerer: Any, seen: Seen, error: str) -> Result:
        """The result of a sample whose images cannot be opened."""
        ...


@dataclass(frozen=True)
class Questions:
    """Samples whose questions are put to an answerer, and whose answers are read. `subset` tells a sample's by
    its key."""

    name: str
    samples: Sequence[Sample]
    subset: Callable[[str], str] | None = None

    def fits(self, answerer: Answerer, seen: Seen) -> bool:
        """By what the answerer needs (a reference) and can (its `tasks`)."""
        can = answerer.tasks is None or seen.task in answerer.tasks
        return can and (seen.full_reference or not answerer.needs_reference)

    def ask(self, answerer: Answerer, samples: Sequence[Sample]) -> list[Result]:
        return [
            reply_result(sample, self.name, answerer.name, reply, **self._place(sample.key))
            for sample, reply in zip(samples, answerer.answer(samples), strict=True)
        ]

    def unread(self, answerer: Answerer, seen: Seen, error: str) -> Result:
        return make_result(seen, self.name, answerer.name, error=error, **self._place(seen.key))

    def _place(self, key: str) -> dict[str, Any]:
        swap_of = original_key(key)
        return {"subset": self.subset(swap_of or key) if self.subset else None, "swap_of": swap_of}


_CUT = "max_text_tokens leaves nothing of the answer"


@dataclass(frozen=True)
class HeldOutLoss:
    """The loss of the samples' own answers."""

    samples: Sequence[Sample]
    name: str = "loss"

    def fits(self, answerer: Any, seen: Seen) -> bool:
        return hasattr(answerer, "losses")

    def ask(self, answerer: ModelAnswerer, samples: Sequence[Sample]) -> list[Result]:
        losses = answerer.losses(samples)
        return [
            make_result(sample, self.name, answerer.name, loss=loss, reason=None if loss is not None else _CUT)
            for sample, loss in zip(samples, losses, strict=True)
        ]

    def unread(self, answerer: ModelAnswerer, seen: Seen, error: str) -> Result:
        return make_result(seen, self.name, answerer.name, error=error)


def reply_result(sample: Sample, benchmark: str, model: str, reply: Reply, **rest: Any) -> Result:
    """What the reply itself leaves open, `parsed` or why not, is read from its words; `rest` are further fields."""
    parsed, reason = reply.parsed, reply.reason
    if reply.error is not None:
        return make_result(sample, benchmark, model, error=reply.error, **rest)
    if parsed is None and reason is None:
        parsed, reason = read_answer(sample.task, reply.text, sample.images)
    said = {"confidence": reply.confidence, "scores": dict(reply.scores), "parsed": parsed, "reason": reason}
    return make_result(sample, benchmark, model, reply.text, **said, **rest)
