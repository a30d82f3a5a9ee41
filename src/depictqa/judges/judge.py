"""Puts texts to a judge, and its grades into the results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from depictqa.chat.llm import Llm, ask_all
from depictqa.chat.question import Question
from depictqa.chat.replies import Outcome, Reply
from depictqa.chat.template import fill
from depictqa.evaluation.benchmark import HeldOutLoss
from depictqa.evaluation.judgements import EXCHANGED
from depictqa.evaluation.result import Result
from depictqa.judges.grades import Grades, read_grades
from depictqa.judges.protocols import JudgeProtocol
from depictqa.sample import Task

TASKS = (Task.DESCRIPTION, Task.ASSESSMENT, Task.REASONING)
"""Those that are answered in a text of one's own."""

NO_TEXT = "there is no answer to judge"


def is_judged(result: Result) -> bool:
    """Whether there is a question of `TASKS` and a person's text. Pairs asked in the other order too count once."""
    asked = result.task in TASKS and result.benchmark != HeldOutLoss.name
    return asked and result.swap_of is None and bool(result.target.strip())


@dataclass(frozen=True)
class Judge:
    """`template` is the prompt of the `protocol`; with `swap` each pair of texts is also shown in the other order."""

    llm: Llm
    protocol: JudgeProtocol
    template: str
    swap: bool = False
    num_parallel: int = 8

    def __post_init__(self) -> None:
        if self.swap and not self.protocol.has_orders:
            raise ValueError(f"judge '{self.protocol.name}' grades one text: no order to exchange (judge.swap=false)")

    def prompt(self, result: Result, exchanged: bool = False) -> str:
        """ValueError where the template lacks a placeholder."""
        return fill(self.template, self.protocol.name, self.protocol.values(result, exchanged), "judge.prompt")

    def num_questions(self, results: Sequence[Result]) -> int:
        return sum(len(self._orders(result)) for result in results)

    def judge(self, results: Sequence[Result], told: Callable[[], object] = lambda: None) -> list[Result]:
        """The results in their order, those that `is_judged` with a judgement by this protocol and model, which takes
        the place of an earlier one; `told` hears of each reply.

        A text that is not there has a score of 0, and nobody is asked about it. Where the model is given up
        (`llm.given_up`) the results that nothing was asked about stay as they are. Raises Unusable.
        """
        places = [(number, exchanged) for number, one in enumerate(results) for exchanged in self._orders(one)]
        questions = [
            Question(self.prompt(results[number], exchanged), results[number].key) for number, exchanged in places
        ]
        replies: dict[tuple[int, bool], Reply] = {}
        for place, reply in ask_all(self.llm, questions, self.num_parallel):
            if reply.asked:
                replies[places[place]] = reply
            told()
        judged = []
        for number, result in enumerate(results):
            first, second = replies.get((number, False)), replies.get((number, True))
            if first is not None:
                result = self._with(result, self._judgement(first, False), second)
            elif is_judged(result) and not result.prediction.strip():
                result = self._with(result, {"score": 0.0, "grades": None, "reply": "", "reason": NO_TEXT}, None)
            judged.append(result)
        return judged

    def _orders(self, result: Result) -> tuple[bool, ...]:
        if not is_judged(result) or not result.prediction.strip():
            return ()
        return (False, True) if self.swap else (False,)

    def _judgement(self, reply: Reply, exchanged: bool) -> dict[str, Any]:
        grades: Grades | None = None
        reason: str | None = f"{reply.outcome}: {reply.reason}"
        if reply.outcome is Outcome.WRITTEN:
            replied, reason = read_grades(reply.text, self.protocol.num_grades)
            grades = None if replied is None else self.protocol.grades(replied, exchanged)
        return {
            "score": None if grades is None else self.protocol.score(grades),
            "grades": None if grades is None else list(grades),
            "reply": reply.text,
            "reason": reason,
            "judge": reply.model,
            "date": reply.date,
        }

    def _with(self, result: Result, judgement: Mapping[str, Any], exchanged: Reply | None) -> Result:
        record = {
            "judge": None,
            "date": None,
            "prompt": hashlib.sha256(self.template.encode()).hexdigest()[:8],
            **judgement,
            EXCHANGED: None if exchanged is None else self._judgement(exchanged, True),
        }
        by_judge = {**result.judgements.get(self.protocol.name, {}), self.llm.model: record}
        return replace(result, judgements={**result.judgements, self.protocol.name: by_judge})
