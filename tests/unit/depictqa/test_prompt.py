"""The released prompt to the letter, and which slots a task takes."""

from __future__ import annotations

import pytest

from depictqa import official
from depictqa.prompt import ImageSlot, PromptStyle, Text, render
from depictqa.sample import Slot, Task, Turn

SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions. As an AI assistant, you are performing an image quality assessment "
    "task."
)


def flat(pieces: list[Text | ImageSlot]) -> list[str]:
    return [piece.text if isinstance(piece, Text) else f"[{piece.slot}]" for piece in pieces]


def test_released_comparison_with_reference() -> None:
    pieces = render(Task.COMPARISON, set(Slot), [Turn("Which?", "Image A")], official.style())
    assert flat(pieces) == [
        SYSTEM + " A high-quality Reference Image is provided to assist the evaluation."
        "\n\n </s> Reference Image: <Img-Reference>",
        "[reference]",
        "</Img-Reference>\n\n </s> Image A: <Img-A>",
        "[a]",
        "</Img-A>\n\n </s> Image B: <Img-B>",
        "[b]",
        "</Img-B>\n\n </s> USER: Which?\n   ASSISTANT: ",
        "Image A\n </s>",
    ]
    assert [piece.supervised for piece in pieces if isinstance(piece, Text)] == [False, False, False, False, True]


def test_one_assessed_image_is_neither_a_nor_b() -> None:
    single = flat(render(Task.DESCRIPTION, {Slot.B}, [Turn("How?")], official.style()))
    assert single == [SYSTEM + "\n\n </s> Image: <Img>", "[b]", "</Img>\n\n </s> USER: How?\n   ASSISTANT: "]
    with_reference = flat(render(Task.DESCRIPTION, {Slot.B, Slot.REFERENCE}, [Turn("How?")], official.style()))
    assert with_reference[2:] == [
        "</Img-Reference>\n\n </s> Image: <Img>", "[b]", "</Img>\n\n </s> USER: How?\n   ASSISTANT: "
    ]  # fmt: skip


def test_released_content_description() -> None:
    first, image, last = flat(render(Task.CONTENT, {Slot.A}, [Turn("Describe it.\n<image>")], official.style()))
    assert first.endswith("accurately and comprehensively conveys its visual content.\n\n </s> USER: <Img>")
    assert last == "</Img> Describe it.   ASSISTANT: "


def test_plain_tags() -> None:
    text = "".join(flat(render(Task.COMPARISON, set(Slot), [Turn("?")], official.style(unique_tags=False))))
    assert text.count("<Img>") == text.count("</Img>") == 3 and "<Img-" not in text


def test_several_turns() -> None:
    turns = [Turn("One?", "First."), Turn("Two?", "Second."), Turn("Three?")]
    pieces = render(Task.DESCRIPTION, {Slot.A}, turns, PromptStyle())
    assert [piece.text for piece in pieces if isinstance(piece, Text) and piece.supervised] == [
        "First.</s>",
        "Second.</s>",
    ]
    assert flat(pieces)[-1] == "USER: Three?\nASSISTANT:"


@pytest.mark.parametrize(
    ("task", "slots"),
    [
        (Task.COMPARISON, {Slot.A}),
        (Task.REASONING, {Slot.REFERENCE, Slot.B}),
        (Task.DESCRIPTION, {Slot.REFERENCE}),
        (Task.CONTENT, {Slot.A, Slot.B}),
    ],
)
def test_slots_that_do_not_fit(task: Task, slots: set[Slot]) -> None:
    with pytest.raises(ValueError, match=f"task '{task}'"):
        render(task, slots, [Turn("?")], PromptStyle())


def test_released_names() -> None:
    assert official.parse_task("quality_compare").full_reference
    assert official.parse_task("quality_single_B_noref").slots == (Slot.B,)
    with pytest.raises(ValueError, match="quality_comparison.*quality_compare"):
        official.parse_task("quality_comparison")
