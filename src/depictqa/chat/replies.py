"""What an API's answer amounts to: a text, a refusal, nothing, or something that is no answer at all."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How an item ended."""

    WRITTEN = "written"
    REFUSED = "refused"
    EMPTY = "empty"
    FAILED = "failed"


@dataclass(frozen=True)
class Reply:
    """`model` is the name that the server gives, which may be more exact than the one asked for.

    `cached`: it was paid for by an earlier run; not `asked`: the run was called off before. `date` (UTC) is when it was
    received. Tokens are None where the server does not count them, and `mean_probability` is None where it does not
    tell its log-probabilities.
    """

    outcome: Outcome
    text: str = ""
    reason: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False
    asked: bool = True
    date: str | None = None
    mean_probability: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("cached", "asked")}


DECLINES = "the text declines to answer"


class BrokenReply(ValueError):
    """The body is not what the chat-completions API answers with."""


_REFUSAL = re.compile(
    r"(?:i['’]?m|i am) (?:\w+ )?(?:sorry|unable|not able)\b|(?:sorry|my apologies|i apologi[sz]e)\b|as an ai\b"
    r"|i (?:cannot|can ?not|can['’]t|won['’]t|will not|am not able to) (?:assist|help|comply|provide|answer|fulfil|do"
    r"|write|create|generate|describe|discuss|continue)|i must decline\b",
    re.IGNORECASE,
)


def read_reply(body: str, group: str = "writer", keeps_cut_off: bool = False) -> Reply:
    """The body of an answer -> a reply that is not `failed`, or one that is where the text was cut off.

    `keeps_cut_off`: a text that was cut off counts as written. `group` names the options in reasons. Raises
    BrokenReply for what is not JSON or has no message.
    """
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise BrokenReply("the answer is broken: no JSON with a message in it") from None
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        raise BrokenReply("the answer is broken: its message is no text")
    finish = choice.get("finish_reason")
    outcome, reason = _judge(content or "", refusal, finish)
    if outcome is Outcome.WRITTEN and finish == "length" and not keeps_cut_off:
        outcome, reason = Outcome.FAILED, f"cut off at the limit of tokens; raise it ({group}.options)"
    usage = answer.get("usage") if isinstance(answer.get("usage"), dict) else {}
    return Reply(
        outcome,
        text=(content or "").strip(),
        reason=reason,
        model=answer["model"] if isinstance(answer.get("model"), str) else None,
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        mean_probability=_mean_probability(choice.get("logprobs")),
    )


def _judge(content: str, refusal: str | None, finish: Any) -> tuple[Outcome, str | None]:
    if refusal:
        return Outcome.REFUSED, refusal
    if finish == "content_filter":
        return Outcome.REFUSED, "stopped by the provider's content filter"
    if not content.strip():
        return Outcome.EMPTY, "the answer is empty" + (": cut off at the limit of tokens" if finish == "length" else "")
    if _REFUSAL.match(content.strip()):
        return Outcome.REFUSED, DECLINES
    return Outcome.WRITTEN, None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _mean_probability(logprobs: Any) -> float | None:
    """Of the tokens of `{"content": [{"logprob": ...}]}`; None where that is not all there."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    found: list[float] = []
    for token in tokens or ():
        value = token.get("logprob") if isinstance(token, dict) else None
        if not isinstance(value, int | float) or not value <= 0:
            return None
        found.append(math.exp(value))
    return sum(found) / len(found) if found else None
