"""What the framework reasons about: a sample is images in named slots, a dialogue about them, and what is true.

Everything here is frozen and typed. Code branches on `Task` and `Slot`, never on parts of names;
full or no reference is whether `Slot.REFERENCE` is filled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from PIL import Image

from depictqa.questionnaire import Questionnaire


class Slot(StrEnum):
    """Where an image stands in a sample. The order here is the order in the prompt."""

    REFERENCE = "reference"
    A = "a"
    B = "b"


class Task(StrEnum):
    """What is asked. `CONTENT` is the external data of the paper: no quality question at all."""

    DESCRIPTION = "description"
    COMPARISON = "comparison"
    REASONING = "reasoning"
    IDENTIFICATION = "identification"
    ASSESSMENT = "assessment"
    RATING = "rating"
    CONTENT = "content"

    @property
    def compares(self) -> bool:
        """Whether the answer weighs A against B."""
        return self in (Task.COMPARISON, Task.REASONING, Task.RATING)


@dataclass(frozen=True)
class Turn:
    """A question and its answer; the answer is empty where the model is to give it."""

    question: str
    answer: str = ""


@dataclass(frozen=True)
class Distortion:
    """A class of `datamodules.distortions` (`blur`, `noise`, ...), the function of that class, severity 1..5."""

    name: str
    function: str
    severity: int


@dataclass(frozen=True)
class Truth:
    """What is known of a sample beside its answer text; every part is optional.

    `better` is the slot of the better image; `vote` the fraction of `num_votes` people who preferred B;
    `distortions` and `questionnaires` are by slot.

    `mos` are people's mean scores by slot, larger is better, in the units of their study: difference scores have their
    sign turned. `names` are those of the images; that of the reference is stated although it may not be shown. `same`
    is the fraction of `num_votes` people who took A and B for the same image.
    """

    better: Slot | None = None
    vote: float | None = None
    distortions: Mapping[Slot, tuple[Distortion, ...]] = field(default_factory=dict)
    questionnaires: Mapping[Slot, Questionnaire] = field(default_factory=dict)
    num_votes: int | None = None
    mos: Mapping[Slot, float] = field(default_factory=dict)
    names: Mapping[Slot, str] = field(default_factory=dict)
    same: float | None = None


@dataclass(frozen=True)
class Sample:
    """One thing to learn from or to be asked: `images` in slots, at least one turn of `dialogue`, `truth`."""

    key: str
    task: Task
    images: Mapping[Slot, Image.Image]
    dialogue: tuple[Turn, ...]
    truth: Truth = field(default_factory=Truth)

    @property
    def slots(self) -> Collection[Slot]:
        return self.images.keys()

    @property
    def full_reference(self) -> bool:
        return Slot.REFERENCE in self.images
