"""Pools of differently worded questions and brief answers, so that a model learns the task and not a sentence.

`{x}` and `{y}` stand for the two images in either order; `{better}` and `{worse}` for what the answer says of
them. All are grammatical and mean the same with A and B swapped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datamodules.distortions import severity_word
from datamodules.writers.rules import NOUNS
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


def image_name(slot: Slot) -> str:
    """`Image A` or `Image B`."""
    return f"Image {slot.upper()}"


def other(slot: Slot) -> Slot:
    """The other of A and B."""
    return Slot.B if slot is Slot.A else Slot.A


def comparison(better: Slot, rng: np.random.Generator, *, single_word: bool) -> Turn:
    """A question and its brief answer; the question names A and B in random order."""
    question = _in_random_order(_pick(COMPARISON_QUESTIONS, rng), rng)
    if single_word:
        return Turn(question + SINGLE_WORD_TAIL, image_name(better))
    answer = _pick(COMPARISON_ANSWERS, rng)
    return Turn(question, answer.format(better=image_name(better), worse=image_name(other(better))))


def identification(
    name: str, distortions: Sequence[Distortion], rng: np.random.Generator, num_wordings: int | None = None
) -> Turn:
    """What is wrong with an image, in two words: `Obvious noise`; `None` for a clean one."""
    question = _pick(IDENTIFICATION_QUESTIONS[:num_wordings], rng).format(x=name)
    named = [f"{severity_word(distortion.severity)} {NOUNS[distortion.name]}" for distortion in distortions]
    return Turn(question, " and ".join(named).capitalize() or "None")


def reasoning_question(rng: np.random.Generator) -> str:
    return _in_random_order(_pick(REASONING_QUESTIONS, rng), rng)


def description_question(rng: np.random.Generator) -> str:
    return _pick(DESCRIPTION_QUESTIONS, rng)


def content_question(rng: np.random.Generator) -> str:
    return _pick(CONTENT_QUESTIONS, rng)


def balanced(count: int, rng: np.random.Generator) -> list[bool]:
    """`count` booleans in random order, as many true as false (for an odd count chance takes the last)."""
    values = [i % 2 == 0 for i in range(count - count % 2)] + [bool(rng.integers(2))] * (count % 2)
    return [values[i] for i in rng.permutation(count)]


def _in_random_order(question: str, rng: np.random.Generator) -> str:
    names = [image_name(Slot.A), image_name(Slot.B)]
    x, y = names if rng.random() < 0.5 else reversed(names)
    return question.format(x=x, y=y)


def _pick(pool: tuple[str, ...], rng: np.random.Generator) -> str:
    return pool[int(rng.integers(len(pool)))]
