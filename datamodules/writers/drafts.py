"""Drafts: a question and its answer in text for each annotation, by rule or by an LLM, as JSON lines.

    {"key": "000017", "annotator": "ada", "task": "description", "question": "...", "text": "...", "writer": "llm",
     "outcome": "written", "reason": null, "model": "...", "temperature": 1.0, "input_tokens": 310, "output_tokens": 64,
     "cost": 0.00021, "problems": [{"field": "noise", "slot": "a", "stated": "mild", "said": null}]}

Every item has one line, whatever became of it: only `written` ones are texts to learn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.annotations import Annotation, read_lines, write_lines
from datamodules.writers import pools, rules
from datamodules.writers.check import Disagreement, disagreements
from datamodules.writers.prompts import PLACEHOLDERS, in_words
from depictqa.chat.llm import Llm, ask_all
from depictqa.chat.replies import Outcome, Reply
from depictqa.chat.template import fill
from depictqa.sample import Slot, Task, Truth

RULE, LLM = "rule", "llm"


@dataclass(frozen=True)
class Item:
    """What is to be written: an annotation, and the question that the text answers."""

    annotation: Annotation
    task: Task
    question: str
    seed: int

    @property
    def identity(self) -> tuple[str, str]:
        """(key, annotator), which is unique."""
        return self.annotation.key, self.annotation.annotator


@dataclass(frozen=True)
class Draft:
    """One line. `problems` are where a written text and its form disagree; `cost` None where it is unknown."""

    key: str
    annotator: str
    task: Task
    question: str
    text: str
    writer: str
    outcome: Outcome
    reason: str | None = None
    model: str | None = None
    temperature: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    problems: tuple[Disagreement, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        return self.key, self.annotator

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "problems": [problem.to_json() for problem in self.problems]}

    @classmethod
    def from_json(cls, value: Any, where: str = "draft") -> Draft:
        """The inverse of `to_json`. ValueError that begins with `where` and names the field."""
        names = [field.name for field in fields(cls)]
        if not isinstance(value, dict) or sorted(value) != sorted(names):
            raise ValueError(f"{where}: no draft; its fields are {', '.join(names)}")
        try:
            kinds = {"task": Task(value["task"]), "outcome": Outcome(value["outcome"])}
            problems = tuple(Disagreement.from_json(problem) for problem in value["problems"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}: {error}") from None
        if wrong := [name for name in ("key", "annotator", "question", "text") if not isinstance(value[name], str)]:
            raise ValueError(f"{where}: field '{wrong[0]}' is {value[wrong[0]]!r}; give text")
        return cls(**{**value, **kinds, "problems": problems})


def items_of(annotations: Sequence[Annotation], seed: int) -> list[Item]:
    """A question for each annotation; it depends on nothing but the seed and the item's own name.

    ValueError where two annotations have the same key and annotator.
    """
    items, seen = [], set()
    for annotation in annotations:
        name = (annotation.key, annotation.annotator)
        if name in seen:
            raise ValueError(f"item '{name[0]}' of annotator '{name[1]}' is there twice; remove one line (raw)")
        seen.add(name)
        digest = hashlib.sha256("\0".join(name).encode()).digest()
        item_seed = int.from_bytes(digest[:6]) ^ seed
        rng = np.random.default_rng(item_seed)
        task = Task.REASONING if annotation.is_pair else Task.DESCRIPTION
        question = pools.reasoning_question(rng) if annotation.is_pair else pools.description_question(rng)
        items.append(Item(annotation, task, question, item_seed))
    return items


def write_by_rule(items: Iterable[Item]) -> Iterator[Draft]:
    """By `rules`: distortion classes are not in a form, so fields are named. A pair without a better one is equal."""
    for item in items:
        truth = Truth(better=item.annotation.better, questionnaires=item.annotation.forms)
        rng = np.random.default_rng([item.seed, 1])
        slots = [slot for slot in (Slot.A, Slot.B) if slot in item.annotation.forms]
        text = rules.reason(truth, rng) if item.annotation.is_pair else rules.describe(truth, rng, slots[0])
        yield _draft(item, RULE, Reply(Outcome.WRITTEN, text))


def write_by_llm(items: Sequence[Item], llm: Llm, prompts: Mapping[str, str], num_parallel: int = 8) -> Iterator[Draft]:
    """As they come in. `prompts`: a template for each task. ValueError where one is missing or cannot be filled."""
    questions = [(_prompt(item, prompts), "/".join(item.identity)) for item in items]
    for number, reply in ask_all(llm, questions, num_parallel):
        known = {"model": reply.model, "temperature": llm.temperature, "cost": llm.cost(reply)}
        yield _draft(items[number], LLM, reply, **known)


def read_drafts(path: Path | str) -> list[Draft]:
    """All lines of a file. ValueError names the file and the line."""
    return [Draft.from_json(value, where) for where, value in read_lines(path)]


def write_drafts(path: Path | str, drafts: Iterable[Draft]) -> None:
    """Replace the file as a whole."""
    write_lines(path, (draft.to_json() for draft in drafts))


def _prompt(item: Item, prompts: Mapping[str, str]) -> str:
    if not prompts.get(item.task):
        raise ValueError(f"no prompt for task '{item.task}'; give its words (writer.prompts.{item.task})")
    values = dict(zip(PLACEHOLDERS, (in_words(item.annotation), item.question), strict=True))
    return fill(prompts[item.task], str(item.task), values)


def _draft(item: Item, writer: str, reply: Reply, **known: Any) -> Draft:
    written = reply.outcome is Outcome.WRITTEN
    return Draft(
        key=item.annotation.key,
        annotator=item.annotation.annotator,
        task=item.task,
        question=item.question,
        text=reply.text,
        writer=writer,
        outcome=reply.outcome,
        reason=reply.reason,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        problems=disagreements(reply.text, item.annotation) if written else (),
        **known,
    )
