"""Pools of differently worded questions and brief answers, so that a model learns the task and not a sentence.

`{x}` and `{y}` stand for the two images in either order; `{better}` and `{worse}` for what the answer says of
them. All are grammatical and mean the same with A and B swapped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import yaml

from datamodules.distortions import severity_word
from datamodules.writers.rules import NOUNS
from depictqa.parsing import parse_preference
from depictqa.sample import Distortion, Slot, Turn

SINGLE_WORD_TAIL = " Answer the question using a single word or phrase."
"""The tail of the released training data; the answer to it is `Image A` or `Image B`."""

COMPARISON_QUESTIONS = (
    "Which image is better, {x} or {y}?",
    "Which of the two images has better quality, {x} or {y}?",
    "Which one has higher quality, {x} or {y}?",
    "Is {x} or {y} of better quality?",
    "Between {x} and {y}, which one is better?",
    "Between {x} and {y}, which one has the higher quality?",
    "Of {x} and {y}, which is less distorted?",
    "Compare {x} and {y}. Which one is better?",
    "Compare {x} with {y}: which has better quality?",
    "Please compare {x} with {y} and name the better one.",
    "Please tell which image is of higher quality, {x} or {y}.",
    "Which do you prefer, {x} or {y}?",
    "Which image would you choose for its quality, {x} or {y}?",
    "Judging by quality, is {x} or {y} better?",
    "In terms of quality, which is superior, {x} or {y}?",
    "Which image suffers less from distortion, {x} or {y}?",
    "Which image looks better to you, {x} or {y}?",
    "Who wins in image quality, {x} or {y}?",
    "Tell me whether {x} or {y} has better quality.",
    "Looking at {x} and {y}, which one is closer to a perfect image?",
    "Given {x} and {y}, decide which has the better quality.",
    "Does {x} or {y} show the higher image quality?",
)

COMPARISON_ANSWERS = (
    "{better} is better.",
    "{better} has better quality.",
    "{better} has higher quality than {worse}.",
    "{better} is better than {worse}.",
    "{better} is of higher quality.",
    "{better} is less distorted.",
    "{better} is less distorted than {worse}.",
    "{better} is the better one.",
    "{better} looks better.",
    "{better} looks better than {worse}.",
    "{better} is superior.",
    "{better} is superior to {worse}.",
    "{better} wins over {worse}.",
    "{better} is preferred.",
    "{better} is preferred over {worse}.",
    "{better} shows the higher quality.",
    "{better} is the image with better quality.",
    "The better image is {better}.",
    "The quality of {better} is better than that of {worse}.",
    "I prefer {better} over {worse}.",
    "I would choose {better}.",
    "The one with higher quality is {better}.",
)

DESCRIPTION_QUESTIONS = (
    "What is the quality of this image?",
    "Describe the quality of the image.",
    "Please describe the distortions in this image.",
    "What distortions do you see in the image?",
    "Assess the quality of this image in detail.",
    "Please evaluate the quality of the image.",
    "How is the quality of this image?",
    "Tell me about the quality issues of this image.",
    "What is wrong with this image?",
    "Is the image distorted, and how?",
    "Give a detailed assessment of the image quality.",
    "Describe what degrades this image and how strongly.",
)

REASONING_QUESTIONS = (
    "Compare the quality of {x} and {y} and explain your choice.",
    "Which image is better, {x} or {y}, and why?",
    "Please compare {x} and {y} in detail.",
    "Between {x} and {y}, which has better quality? Give reasons.",
    "Weigh the distortions of {x} against those of {y}.",
    "Explain which of {x} and {y} has higher quality.",
    "Compare the distortions of {x} and {y}, then conclude which is better.",
    "Is {x} or {y} better? Explain in detail.",
    "Give a detailed comparison of {x} and {y}.",
    "Reason about which image has better quality, {x} or {y}.",
    "Describe how {x} and {y} differ in quality and decide.",
    "Please explain whether {x} or {y} is better.",
)

CONTENT_QUESTIONS = (
    "What does the image show?",
    "Describe the content of this image.",
    "What can be seen in the image?",
    "Please describe the image.",
    "What is in this picture?",
    "Give a description of the image content.",
    "Tell me what you see.",
    "Describe what this image shows.",
    "Please tell what is shown here.",
    "What is depicted in the image?",
)


IDENTIFICATION_QUESTIONS = (
    "Which distortion does {x} have?",
    "What is wrong with {x}?",
    "Name the distortion of {x}.",
    "What distortion is seen in {x}?",
    "How is {x} distorted?",
    "Tell the distortion of {x}.",
    "What degrades {x}?",
    "Identify the distortion in {x}.",
    "Which distortion affects {x}?",
    "What kind of distortion does {x} suffer from?",
    "Please name what is wrong with {x}.",
    "By what is {x} distorted?",
    "What has been done to {x} that lowers its quality?",
    "Can you name the distortion of {x}?",
    "State the distortion that {x} shows.",
    "What lowers the quality of {x}?",
    "Please identify how {x} was degraded.",
    "What type of degradation is seen in {x}?",
    "Determine the distortion of {x}.",
    "Which degradation do you notice in {x}?",
    "What flaw does {x} have?",
)
FEW = 6
"""The first so many wordings are enough for a model that learns to read from them in minutes."""

POOLS: Mapping[str, tuple[str, ...]] = {
    "comparison_questions": COMPARISON_QUESTIONS,
    "comparison_answers": COMPARISON_ANSWERS,
    "description_questions": DESCRIPTION_QUESTIONS,
    "reasoning_questions": REASONING_QUESTIONS,
    "content_questions": CONTENT_QUESTIONS,
    "identification_questions": IDENTIFICATION_QUESTIONS,
}

_CURRENT: ContextVar[Mapping[str, tuple[str, ...]]] = ContextVar("pools", default=POOLS)

MAX_WORDS = 30  # of a wording
# What may stand between two images so that they can change places: `{x} or {y}`, `{x} against those of {y}`.
_LINK = re.compile(r",? (?:and|or|with|to|from|against|versus|vs\.?) (?:(?:that|those|the \w+) (?:of|in) )?")
_NAMES_AN_IMAGE = re.compile(r"\b(?:the|an?|image|picture|photo) \{|\b[Ii]mage [AB]\b|\b(?:first|second|left|right)\b")
_ASKS_FOR_THE_WORSE = re.compile(
    r"\b(?:worse|worst|inferior|poorer|lower|(?:suffers?|is|has|shows) more|more (?:\w+ly )?(?:dis|de|da)\w+ed)\b", re.I
)


def image_name(slot: Slot) -> str:
    """`Image A` or `Image B`."""
    return f"Image {slot.upper()}"


def other(slot: Slot) -> Slot:
    """The other of A and B."""
    return Slot.B if slot is Slot.A else Slot.A


def comparison(better: Slot, rng: np.random.Generator, *, single_word: bool) -> Turn:
    """A question and its brief answer; the question names A and B in random order."""
    question = _in_random_order(_pick("comparison_questions", rng), rng)
    if single_word:
        return Turn(question + SINGLE_WORD_TAIL, image_name(better))
    answer = _pick("comparison_answers", rng)
    return Turn(question, answer.format(better=image_name(better), worse=image_name(other(better))))


def identification(
    name: str, distortions: Sequence[Distortion], rng: np.random.Generator, num_wordings: int | None = None
) -> Turn:
    """What is wrong with an image, in two words: `Obvious noise`; `None` for a clean one."""
    question = _pick("identification_questions", rng, num_wordings).format(x=name)
    named = [f"{severity_word(distortion.severity)} {NOUNS[distortion.name]}" for distortion in distortions]
    return Turn(question, " and ".join(named).capitalize() or "None")


def reasoning_question(rng: np.random.Generator) -> str:
    return _in_random_order(_pick("reasoning_questions", rng), rng)


def description_question(rng: np.random.Generator) -> str:
    return _pick("description_questions", rng)


def content_question(rng: np.random.Generator) -> str:
    return _pick("content_questions", rng)


def balanced(count: int, rng: np.random.Generator) -> list[bool]:
    """`count` booleans in random order, as many true as false (for an odd count chance takes the last)."""
    values = [i % 2 == 0 for i in range(count - count % 2)] + [bool(rng.integers(2))] * (count % 2)
    return [values[i] for i in rng.permutation(count)]


def _in_random_order(question: str, rng: np.random.Generator) -> str:
    names = [image_name(Slot.A), image_name(Slot.B)]
    x, y = names if rng.random() < 0.5 else reversed(names)
    return question.format(x=x, y=y)


def _pick(name: str, rng: np.random.Generator, first: int | None = None) -> str:
    """One of a pool, or of its `first` so many."""
    pool = _CURRENT.get()[name][:first]
    return pool[int(rng.integers(len(pool)))]


@contextmanager
def using(added: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Within it, wordings are drawn from the pools and what is `added` to them, by name of the pool."""
    token = _CURRENT.set({name: (*pool, *added.get(name, ())) for name, pool in POOLS.items()})
    try:
        yield
    finally:
        _CURRENT.reset(token)


def make_with(added: Mapping[str, Sequence[str]], make: Callable[[int, Any], Any], number: int, item: Any) -> Any:
    """`make(number, item)` with more wordings; a function that can be sent to another process."""
    with using(added):
        return make(number, item)


def load_pools(paths: Iterable[Path | str]) -> dict[str, tuple[str, ...]]:
    """Pools that were drafted, reviewed by a person and kept as YAML, by the name that each file states.

    Raises FileNotFoundError, and ValueError where one is not reviewed yet or a wording does not fit its pool.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in paths:
        name, wordings = _read_pool(Path(path))
        found[name] = (*found.get(name, ()), *wordings)
    return found


def _read_pool(path: Path) -> tuple[str, tuple[str, ...]]:
    if not path.is_file():
        raise FileNotFoundError(f"pool '{path}' not found; program=write writer=llm writer.pool=NAME drafts one")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"pool '{path}' is no YAML ({' '.join(str(error).split())}); mend it") from None
    if not isinstance(value, dict) or not isinstance(value.get("items"), list) or not value["items"]:
        raise ValueError(f"pool '{path}' is not pool, drafted_by, reviewed and items; draft it anew")
    name = value.get("pool")
    if not isinstance(name, str) or name not in POOLS:
        raise ValueError(f"pool '{path}' is of {name!r}; choose {', '.join(POOLS)} (pool)")
    if value.get("reviewed") is not True:
        raise ValueError(f"pool '{path}' is not reviewed; read its items, mend them, then set reviewed: true in it")
    for number, wording in enumerate(value["items"]):
        if problem := wording_problem(name, wording, (*POOLS[name], *value["items"][:number])):
            raise ValueError(f"pool '{path}' item {number + 1}, {wording!r}: {problem}")
    return name, tuple(value["items"])


def wording_problem(pool: str, wording: object, others: Sequence[str] = ()) -> str | None:
    """Why a wording does not fit a pool of that name, or None where it does. ValueError for an unknown pool."""
    if pool not in POOLS:
        raise ValueError(f"pool '{pool}' unknown; choose {', '.join(POOLS)} (writer.pool)")
    if not isinstance(wording, str) or len(wording.split()) > MAX_WORDS or "\n" in wording:
        return f"is not one line of at most {MAX_WORDS} words"
    if not re.fullmatch(r"[A-Z{].*[.?]", wording):
        return "does not begin with a capital and end with a stop or a question mark"
    if problem := _placeholder_problem(pool, wording):
        return problem
    if _NAMES_AN_IMAGE.search(wording) and "{" in POOLS[pool][0]:
        return "names an image beside its placeholders"
    if _spelled(wording) in {_spelled(other) for other in others}:
        return "is there already"
    if pool == "comparison_answers":
        return _answer_problem(wording)
    if pool in ("comparison_questions", "reasoning_questions"):
        if _ASKS_FOR_THE_WORSE.search(wording):
            return "asks for the worse image; answers name the better one"
        if not _LINK.fullmatch(re.split(r"\{[xy]\}", wording)[1]):
            return "changes its meaning where the images change places; join them by and, or, with, against"
    return None


def _placeholder_problem(pool: str, wording: str) -> str | None:
    must = {field for _, field, _, _ in Formatter().parse(POOLS[pool][0]) if field}
    may = must | ({"worse"} if pool == "comparison_answers" else set())
    try:
        parts = [part for part in Formatter().parse(wording) if part[1] is not None]
    except ValueError as error:
        return f"has braces that do not match ({error})"
    found = ["".join(part or "" for part in parts_of_one[1:]) for parts_of_one in parts]  # {x:3} is no {x}
    if sorted(set(found)) != sorted(found) or not must <= set(found) <= may:
        names = " and ".join(f"{{{name}}}" for name in sorted(must))
        return f"does not hold {names} once each" if must else "holds a placeholder; this pool has none"
    return None


def _answer_problem(answer: str) -> str | None:
    for better in (Slot.A, Slot.B):
        read = parse_preference(answer.format(better=image_name(better), worse=image_name(other(better))))
        if read.better is not better:
            return "is not read back as preferring {better}"
    return None


def _spelled(wording: str) -> str:
    """Without what does not tell two wordings apart: case, stops, and which image comes first."""
    return re.sub(r"[^a-z{} ]", "", re.sub(r"\{[xy]\}", "{}", wording.lower()))
