"""New wordings for a pool, drafted by an LLM and checked, as a YAML file that a person reviews before it is used."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from datamodules.writers.pools import POOLS, wording_problem
from depictqa.chat.llm import Llm, Unusable
from depictqa.chat.pace import Stopped
from depictqa.chat.replies import Outcome
from depictqa.chat.template import fill
from depictqa.whole_file import write_whole

MAX_ROUNDS = 6  # requests for one pool: a model that has not found enough by then repeats itself
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.):])\s+")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}


@dataclass
class PoolDraft:
    """`items` fit the pool; `rejected` are the others with the reason. `cost` None where it is unknown."""

    name: str
    items: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    model: str | None = None
    cost: float | None = 0.0


def draft_pool(
    llm: Llm,
    name: str,
    num_items: int,
    template: str,
    seed: int = 0,
    told: Callable[[int], object] = lambda count: None,
) -> PoolDraft:
    """Asks for wordings until `num_items` fit, at most MAX_ROUNDS times; `told` hears how many there are.

    Raises ValueError for an unknown pool, Unusable where the model refuses or fails.
    """
    if name not in POOLS:
        raise ValueError(f"pool '{name}' unknown; choose {', '.join(POOLS)} (writer.pool)")
    draft = PoolDraft(name)
    for number in range(MAX_ROUNDS):
        existing = [*POOLS[name], *draft.items]
        missing = num_items - len(draft.items)
        listed = "\n".join(f"- {wording}" for wording in existing)
        values = {"num_items": str(missing), "pool": name.replace("_", " "), "existing": listed}
        try:
            reply = llm.ask(fill(template, "pool", values), f"pool {name}, seed {seed}, round {number}")
        except Stopped:
            raise Unusable(f"pool '{name}': {llm.given_up}; the same command goes on from there") from None
        if reply.outcome is not Outcome.WRITTEN:
            raise Unusable(
                f"pool '{name}': {reply.outcome}: {reply.reason}; change writer.prompts.pool or writer.model"
            )
        cost = llm.cost(reply)
        draft.cost = None if cost is None or draft.cost is None else draft.cost + cost
        draft.model = reply.model or llm.model
        for wording in wordings_of(reply.text):
            problem = wording_problem(name, wording, [*POOLS[name], *draft.items])
            if problem:
                draft.rejected.append((wording, problem))
            elif len(draft.items) < num_items:
                draft.items.append(wording)
        told(len(draft.items))
        if len(draft.items) == num_items:
            break
    return draft


def wordings_of(text: str) -> list[str]:
    """The lines of a reply, without what lists are marked with; headings and fences are no wordings."""
    lines = (_BULLET.sub("", line).strip() for line in text.splitlines())
    return [_unquoted(line) for line in lines if line and not line.startswith("```") and not line.endswith(":")]


def write_pool(path: Path | str, draft: PoolDraft) -> None:
    """As YAML that `pools.load_pools` refuses until a person has set `reviewed: true`."""
    value = {"pool": draft.name, "drafted_by": draft.model, "reviewed": False, "items": draft.items}
    write_whole(Path(path), yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110))


def _unquoted(line: str) -> str:
    return line[1:-1] if len(line) > 1 and _QUOTES.get(line[0]) == line[-1] else line
