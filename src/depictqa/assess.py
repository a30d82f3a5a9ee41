"""The public API: what is wrong with an image, which of two is better, and why, in words.

assessor = Assessor.from_pretrained("runs/full_mix/2026-01-01_12-00-00")
print(assessor.describe("photo.jpg"))
print(assessor.explain("a.png", "b.png", reference="original.png").to_json())
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from depictqa.evaluation.answerer import ModelAnswerer
from depictqa.evaluation.reading import read_answer
from depictqa.image import load_image
from depictqa.sample import Sample, Slot, Task, Turn

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA
    from depictqa.sentence_embedding import Embedder

ImageLike = str | os.PathLike[str] | Image.Image

BRIEF = "Which image is better, Image A or Image B? Answer the question using a single word or phrase."
"""Asked, besides the question itself, of every pair: its answer's first letter is where P(A) is read."""

QUESTIONS = {
    Task.DESCRIPTION: "Describe the quality of the image.",
    Task.COMPARISON: BRIEF,
    Task.REASONING: "Which image is better, Image A or Image B, and why?",
}


@dataclass(frozen=True)
class Assessment:
    """An answer and what can be read from it. `images` name what was looked at, by slot.

    `better` and `probability_of_a` come from the logits of "A" against "B", not from the words of the answer
    (they may differ; `parsed` has what the words say). `confidence` is as in evaluations
    (`ModelAnswerer`). `parsed` has the form of `depictqa.evaluation.reading`; where it is None, `reason` says why.
    """

    task: Task
    question: str
    answer: str
    images: Mapping[str, str]
    confidence: float | None = None
    probability_of_a: float | None = None
    parsed: Mapping[str, Any] | None = None
    reason: str | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def better(self) -> str | None:
        """ "a" or "b"; None for one image."""
        if self.probability_of_a is None:
            return None
        return "a" if self.probability_of_a >= 0.5 else "b"

    def to_dict(self) -> dict[str, Any]:
        """Plain values. Keys are always the same, so that a program can rely on them."""
        return {
            "task": str(self.task),
            "images": {slot: {"name": name, "size": list(self.sizes[slot])} for slot, name in self.images.items()},
            "question": self.question,
            "answer": self.answer,
            "confidence": self.confidence,
            "better": self.better,
            "probability_of_a": self.probability_of_a,
            "parsed": self.parsed,
            "reason": self.reason,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)

    def to_text(self) -> str:
        """The answer; under it the verdict on a pair, and what was read from the words."""
        lines = [self.answer or "(the model said nothing)"]
        if self.better is not None:
            assert self.probability_of_a is not None
            sure = max(self.probability_of_a, 1 - self.probability_of_a)
            said = (self.parsed or {}).get("better")
            asked = "" if said in (None, self.better) else "asked in a word, other than in the text: "
            lines.append(f"better: {asked}Image {self.better.upper()} ({100 * sure:.0f} %)")
        for slot, fields in (self.parsed or {}).get("fields", {}).items():
            if fields:
                stated = ", ".join(f"{name.replace('_', ' ')} {level}" for name, level in fields.items())
                lines.append(f"image {slot.upper()}: {stated}" if self.task.compares else f"in short: {stated}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()


class Assessor:
    """Asks a model about images: paths, or PIL images, of any size and mode.

    What cannot be opened is a FileNotFoundError or ValueError of one line.
    """

    def __init__(self, model: DepictQA, max_new_tokens: int = 400, embed: Embedder | None = None) -> None:
        """`embed` weighs the tokens of long answers in their confidence (`depictqa.sentence_embedding`)."""
        self.model = model
        self.answerer = ModelAnswerer(model, max_new_tokens, embed=embed)

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike[str], max_new_tokens: int = 400, embed: Embedder | None = None
    ) -> Assessor:
        """From a model's folder, a run's folder or a released `ckpt.pt`."""
        from depictqa.pretrained import open_checkpoint

        return cls(open_checkpoint(Path(path)), max_new_tokens, embed)

    def describe(self, image: ImageLike, reference: ImageLike | None = None, question: str | None = None) -> Assessment:
        """What is wrong with an image; with `reference`, against what it should look like."""
        return self._assess(Task.DESCRIPTION, {Slot.REFERENCE: reference, Slot.A: image}, question)

    def compare(self, a: ImageLike, b: ImageLike, reference: ImageLike | None = None) -> Assessment:
        """Which image is better, in a word, and how surely."""
        return self._assess(Task.COMPARISON, {Slot.REFERENCE: reference, Slot.A: a, Slot.B: b}, None)

    def explain(
        self, a: ImageLike, b: ImageLike, reference: ImageLike | None = None, question: str | None = None
    ) -> Assessment:
        """Which image is better, and why."""
        return self._assess(Task.REASONING, {Slot.REFERENCE: reference, Slot.A: a, Slot.B: b}, question)

    def _assess(self, task: Task, images: Mapping[Slot, ImageLike | None], question: str | None) -> Assessment:
        given = {slot: image for slot, image in images.items() if image is not None}
        if question is not None and not question.strip():
            raise ValueError("the question is empty; ask something, or leave it out (question=...)")
        turn = Turn(question or QUESTIONS[task])
        sample = Sample("assess", task, {slot: load_image(image) for slot, image in given.items()}, (turn,))
        (reply,) = self.answerer.answer([sample])
        parsed, reason = read_answer(task, reply.text, sample.images)
        return Assessment(
            task=task,
            question=turn.question,
            answer=reply.text,
            images={str(slot): _name(image) for slot, image in given.items()},
            confidence=reply.confidence,
            probability_of_a=self._probability_of_a(sample) if task.compares else None,
            parsed=parsed,
            reason=reason,
            sizes={str(slot): image.size for slot, image in sample.images.items()},
        )

    def _probability_of_a(self, sample: Sample) -> float:
        from depictqa.scoring import probability_of_a

        brief = Sample(sample.key, Task.COMPARISON, sample.images, (Turn(BRIEF),))
        return float(probability_of_a(self.model, [brief])[0])


def _name(image: ImageLike) -> str:
    """A path as it was given; an image by the file it came from, if any."""
    if isinstance(image, Image.Image):
        return str(getattr(image, "filename", "") or "image")
    return os.fspath(image)
