"""A sample as the language model reads it: pieces of text with images between them.

One renderer for training, evaluation and chat. Each text piece is tokenised on its own; pieces break at images and
where the supervised answer begins, so a style's strings say exactly what is tokenised together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from depictqa.sample import Slot, Task, Turn

NAMES = {Slot.REFERENCE: "Reference Image", Slot.A: "Image A", Slot.B: "Image B"}
TAGS = {Slot.REFERENCE: "Img-Reference", Slot.A: "Img-A", Slot.B: "Img-B"}
PLAIN_NAME, PLAIN_TAG = "Image", "Img"
IMAGE_MARKER = "<image>"


@dataclass
class PromptStyle:
    """The strings around questions, answers and images. The defaults are short; `depictqa.official.style` has the
    released weights' own.

    `block` closes the system text and each image; `before_answer` stands between question and `assistant`; `end`
    closes an answer. `quality` or `content` (by task) follows `system`, `reference` follows `quality` where there is
    a reference image. With `unique_tags` each slot has its own tag. `content_in_user` moves the image of a content
    description behind `user`, as the released weights expect.
    """

    system: str = ""
    quality: str = "Assess the image quality."
    content: str = "Describe the image content."
    reference: str = ""
    block: str = "\n"
    user: str = "USER: "
    after_question: str = "\n"
    before_answer: str = ""
    assistant: str = "ASSISTANT:"
    end: str = "</s>"
    unique_tags: bool = True
    content_in_user: bool = False


@dataclass(frozen=True)
class Text:
    """A stretch of text, tokenised on its own; `supervised` where the model is to learn it."""

    text: str
    supervised: bool = False


@dataclass(frozen=True)
class ImageSlot:
    """An image's place in the stream."""

    slot: Slot


Piece = Text | ImageSlot


def render(task: Task, slots: Collection[Slot], dialogue: Sequence[Turn], style: PromptStyle) -> list[Piece]:
    """The pieces of a sample. An empty last answer leaves the prompt open, for the model to go on.

    Raises ValueError where the slots do not fit the task.
    """
    _check(task, slots, dialogue)
    pieces = _images(task, slots, style)
    tail = pieces.pop()
    assert isinstance(tail, Text)
    for number, turn in enumerate(dialogue):
        start = tail.text if number == 0 else style.user
        pieces.append(Text(start + _question(task, turn, style)))
        if turn.answer or number + 1 < len(dialogue):
            pieces.append(Text(turn.answer + style.end, supervised=True))
    return pieces


def image_names(slots: Collection[Slot]) -> dict[Slot, str]:
    """What each image is called, in the order of the prompt: one image to assess is neither A nor B."""
    alone = len([slot for slot in slots if slot is not Slot.REFERENCE]) == 1
    ordered = (slot for slot in Slot if slot in slots)
    return {slot: PLAIN_NAME if alone and slot is not Slot.REFERENCE else NAMES[slot] for slot in ordered}


def without_marker(question: str) -> str:
    """Without `<image>`, by which some data say where the picture stands."""
    return question.replace(f"{IMAGE_MARKER}\n", "").replace(f"\n{IMAGE_MARKER}", "").replace(IMAGE_MARKER, "")


def _images(task: Task, slots: Collection[Slot], style: PromptStyle) -> list[Piece]:
    """System text and images; the last piece is text, to which the first question is joined."""
    if task is Task.CONTENT:
        (slot,) = slots
        opening = _join(style.system, style.content) + style.block
        if style.content_in_user:
            return [Text(f"{opening}{style.user}<{PLAIN_TAG}>"), ImageSlot(slot), Text(f"</{PLAIN_TAG}> ")]
        return [
            Text(f"{opening}Image: <{PLAIN_TAG}>"),
            ImageSlot(slot),
            Text(f"</{PLAIN_TAG}>{style.block}{style.user}"),
        ]
    system = _join(style.system, style.quality, style.reference if Slot.REFERENCE in slots else "")
    pieces: list[Piece] = []
    text = system + style.block
    for slot, name in image_names(slots).items():
        tag = TAGS[slot] if style.unique_tags and name != PLAIN_NAME else PLAIN_TAG
        pieces += [Text(f"{text}{name}: <{tag}>"), ImageSlot(slot)]
        text = f"</{tag}>{style.block}"
    return [*pieces, Text(text + style.user)]


def _question(task: Task, turn: Turn, style: PromptStyle) -> str:
    question = turn.question
    if task is Task.CONTENT:
        question = without_marker(question)
    after = "" if task is Task.CONTENT and style.content_in_user else style.after_question
    return f"{question}{after}{style.before_answer}{style.assistant}"


def _join(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _check(task: Task, slots: Collection[Slot], dialogue: Sequence[Turn]) -> None:
    if not dialogue:
        raise ValueError(f"a sample of task '{task}' has no question; give at least one turn")
    assessed = [slot for slot in Slot if slot in slots and slot is not Slot.REFERENCE]
    if task is Task.CONTENT:
        if len(slots) != 1:
            raise ValueError(f"task '{task}' takes one image, got {len(slots)}; give one image and no reference")
    elif task.compares and task is not Task.RATING and len(assessed) != 2:
        raise ValueError(f"task '{task}' compares image A with image B, got {assessed or 'none'}; give both")
    elif not assessed:
        raise ValueError(f"task '{task}' needs an image to assess beside the reference; give image A")
