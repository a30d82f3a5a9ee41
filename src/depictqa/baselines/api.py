"""Other multimodal language models as answerers: any that a server offers behind the chat-completions API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from depictqa.baselines.layout import INTERLEAVED, check_layout, laid_out
from depictqa.evaluation.answerer import Reply
from depictqa.evaluation.reading import read_answer
from depictqa.prompt import without_marker
from depictqa.sample import Sample, Task

if TYPE_CHECKING:
    from depictqa.chat import replies
    from depictqa.chat.llm import Llm


class ApiModel:
    """Answers every task in its own words. The samples of a call are asked `num_parallel` at a time.

    `layout` is as for `VisionLanguage`; pictures are sent as PNG at their own size, `detail` says how closely a
    provider looks at them. `name` is the row's, by default the last part of the model's. With `logprobs` the server is
    asked for log-probabilities; where it tells them, confidence is the mean probability of the answer's tokens. The
    others are settings of `depictqa.chat.llm.Llm`, `cache` a folder; `group` is what messages call them.

    A refusal and an empty answer are replies with the reason, none after all retries one with an error. What is cut off
    at the limit of tokens is read as it stands, as that of any other model is. Answers are kept in the cache as they
    come in, so that an evaluation that was cut asks nothing twice.
    """

    needs_reference: ClassVar[bool] = False
    tasks: ClassVar[frozenset[Task] | None] = None

    def __init__(
        self,
        model: str | None,
        name: str | None = None,
        layout: str = INTERLEAVED,
        cache: str | Path = "data/replies",
        num_parallel: int = 8,
        logprobs: bool = False,
        temperature: float | None = 0.0,
        options: Mapping[str, Any] | None = None,
        group: str = "baseline.api",
        **settings: Any,
    ) -> None:
        self.model = model
        self.name = name or re.sub(r"[^\w.+-]+", "_", (model or "api").rstrip("/").split("/")[-1])
        self.layout, self.cache, self.num_parallel, self.group = layout, cache, num_parallel, group
        asked = {"logprobs": True} if logprobs else {}
        self.settings = {"temperature": temperature, "options": {**(options or {}), **asked}, **settings}

    def check(self) -> None:
        """One line, before anything long runs, where an option is wrong, the key is missing, or the client is."""
        from depictqa.chat.llm import check_parallel

        check_layout(self.layout, self.name, self.group)
        check_parallel(self.num_parallel, self.group)
        _ = self.llm

    @cached_property
    def llm(self) -> Llm:
        from depictqa.chat.cache import ReplyCache
        from depictqa.chat.llm import Llm

        cache = ReplyCache(self.cache)
        return Llm(self.model or "", cache, keeps_cut_off=True, group=self.group, **self.settings)

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        """Raises ValueError where the model is given up: what was answered until then is kept."""
        from depictqa.chat.llm import Unusable, ask_all
        from depictqa.chat.question import Question

        questions = [Question(*self._question(sample)) for sample in samples]
        replies: dict[int, Reply] = {}
        for number, reply in ask_all(self.llm, questions, self.num_parallel):
            if reply.asked:
                replies[number] = self._reply(samples[number], reply)
        if len(replies) < len(samples):
            why = self.llm.given_up
            raise Unusable(f"{self.name}: {why}; its answers are kept: the same command goes on from there")
        return [replies[number] for number in range(len(samples))]

    def _question(self, sample: Sample) -> tuple[Any, ...]:
        """The words of a `Question`. Its `item` is empty: the same question about the same pictures is the same."""
        turns = [(without_marker(turn.question), turn.answer) for turn in sample.dialogue]
        return turns[-1][0], "", laid_out(sample, self.layout), turns[:-1]

    def _reply(self, sample: Sample, reply: replies.Reply) -> Reply:
        from depictqa.chat.replies import DECLINES, Outcome

        if reply.outcome is Outcome.FAILED:
            return Reply("", error=f"{reply.outcome}: {reply.reason}")
        reason = None if reply.outcome is Outcome.WRITTEN else f"{reply.outcome}: {reply.reason}"
        # "I am unable to see a difference" begins like a refusal and is none
        if reply.reason == DECLINES and read_answer(sample.task, reply.text, sample.images)[0] is not None:
            reason = None
        return Reply(reply.text, reply.mean_probability, reason=reason)
