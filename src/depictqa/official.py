"""The released weights and their quirks: task names, prompt strings, the masked separators, the one-file state dict.

Nothing of this stands anywhere else; FACTS section 2 is the source of each string.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from depictqa.prompt import PromptStyle
from depictqa.sample import Sample, Slot, Task, Turn
from depictqa.whole_file import why_unreadable

if TYPE_CHECKING:
    import torch

    from depictqa.encode import Encoded
    from depictqa.models.depictqa import DepictQA

ImageLike = str | os.PathLike[str] | Image.Image

SEPARATOR_1 = "   "
SEPARATOR_2 = " </s> "
END = "\n </s>"
SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
QUALITY = "As an AI assistant, you are performing an image quality assessment task."
REFERENCE = "A high-quality Reference Image is provided to assist the evaluation."
CONTENT = (
    "As an AI assistant, you are performing an image detail description task, and your goal is to generate a natural "
    "language description of an image that accurately and comprehensively conveys its visual content."
)


def style(unique_tags: bool = True) -> PromptStyle:
    """The prompt that the released weights were trained with."""
    return PromptStyle(
        system=SYSTEM,
        quality=QUALITY,
        content=CONTENT,
        reference=REFERENCE,
        block="\n\n" + SEPARATOR_2,
        user="USER: ",
        after_question="\n",
        before_answer=SEPARATOR_1,
        assistant="ASSISTANT: ",
        end=END,
        unique_tags=unique_tags,
        content_in_user=True,
    )


@dataclass(frozen=True)
class ReleasedTask:
    """What a task name of the released metas stands for. `slots` are those it uses; () leaves them to the record."""

    task: Task
    slots: tuple[Slot, ...]

    @property
    def full_reference(self) -> bool:
        return Slot.REFERENCE in self.slots


TASKS: Mapping[str, ReleasedTask] = {
    "quality_compare": ReleasedTask(Task.COMPARISON, (Slot.REFERENCE, Slot.A, Slot.B)),
    "quality_compare_noref": ReleasedTask(Task.COMPARISON, (Slot.A, Slot.B)),
    "quality_single_A": ReleasedTask(Task.DESCRIPTION, (Slot.REFERENCE, Slot.A)),
    "quality_single_A_noref": ReleasedTask(Task.DESCRIPTION, (Slot.A,)),
    "quality_single_B": ReleasedTask(Task.DESCRIPTION, (Slot.REFERENCE, Slot.B)),
    "quality_single_B_noref": ReleasedTask(Task.DESCRIPTION, (Slot.B,)),
    "description": ReleasedTask(Task.CONTENT, ()),
}


def parse_task(name: str) -> ReleasedTask:
    """The meaning of a released task name; ValueError lists the known ones."""
    if name not in TASKS:
        raise ValueError(f"task '{name}' unknown; choose from {', '.join(TASKS)}")
    return TASKS[name]


@dataclass(frozen=True)
class AnswerLoss:
    """The token mean of an answer's loss. `num_tokens` counts the whole stream, images included; `label_ids` are the
    answer's tokens, its `</s>` among them."""

    loss: float
    num_tokens: int
    label_ids: list[int]


def sample_of(
    task: str | Task,
    reference: ImageLike | None,
    image_a: ImageLike | None,
    image_b: ImageLike | None,
    question: str,
    answer: str,
    load: Callable[[Any], Image.Image],
) -> Sample:
    """A sample of one turn. A released task name uses the slots it speaks of and requires them; a `Task` all given."""
    given = {Slot.REFERENCE: reference, Slot.A: image_a, Slot.B: image_b}
    given = {slot: image for slot, image in given.items() if image is not None}
    if isinstance(task, Task):
        kind, slots = task, tuple(given)
    elif task in TASKS:
        kind, slots = TASKS[task].task, TASKS[task].slots or tuple(given)
    elif task in tuple(Task):
        kind, slots = Task(task), tuple(given)
    else:
        raise ValueError(f"task '{task}' unknown; choose from {', '.join([*TASKS, *Task])}")
    for slot in slots:
        if slot not in given:
            raise ValueError(
                f"task '{task}' needs the image of slot '{slot}', got none; give it or choose another task"
            )
    images = {slot: load(given[slot]) for slot in slots}
    return Sample("", kind, images, (Turn(question, answer),))


def hide_separators(encoded: Encoded, eos_token_id: int) -> torch.Tensor:
    """[T] bool: each `</s>` after the last image. The official training forward pads with `</s>` and masks its pads out
    of attention, and these with them; they still count in positions and in the loss."""
    hidden = encoded.ids == eos_token_id
    hidden[: encoded.image_starts[-1] + encoded.image_lengths[-1]] = False
    return hidden


def load_official(
    vision: str | os.PathLike[str],
    language: str | os.PathLike[str],
    delta: str | os.PathLike[str],
    lora_alpha: int = 16,
    unique_tags: bool = True,
    abstractor_heads: int = 8,
) -> DepictQA:
    """The released model: OpenAI's CLIP file, a Vicuna folder and `ckpt.pt`.

    LoRA's rank and the abstractor's depth and width are read from the file; its heads, LoRA's alpha and the tags are
    not in it. With an abstractor images are prepared larger (FACTS section 2).
    """
    from depictqa.image import ImageGeometry
    from depictqa.models.config import LanguageConfig, ModelConfig, ProjectorConfig, VisionConfig
    from depictqa.models.depictqa import DepictQA

    path = Path(delta)
    state = read_delta(path)
    rank, targets = _lora(state, path)
    projector, geometry = ProjectorConfig(), ImageGeometry()
    if "abstractor.query_embeds" in state:
        prefix = "abstractor.abstractor.layers."
        depth = 1 + max(int(key.removeprefix(prefix).split(".")[0]) for key in state if key.startswith(prefix))
        feedforward = state[f"{prefix}0.linear1.weight"].shape[0]
        queries = state["abstractor.query_embeds"].shape[-2]
        projector = ProjectorConfig("abstractor", queries, depth, abstractor_heads, feedforward)
        geometry = ImageGeometry(short_side=1024, long_side=2048)
    config = ModelConfig(
        vision=VisionConfig(weights=os.fspath(vision)),
        projector=projector,
        language=LanguageConfig(path=os.fspath(language), lora_rank=rank, lora_alpha=lora_alpha, lora_targets=targets),
        prompt=style(unique_tags),
        image=geometry,
    )
    model = DepictQA.build(config)
    model.load_trained_state_dict(_renamed(state), source=f"'{path}'")
    return model.eval()


PREFIXES = {
    "llm.": "language.model.",
    "vision_proj.": "projector.linear.",
    "abstractor.": "projector.abstractor.",
}


def is_released(path: Path) -> bool:
    """Whether a checkpoint path is a released `ckpt.pt` rather than a folder of ours."""
    return path.is_file() and path.suffix in (".pt", ".pth", ".bin")


def read_delta(path: Path) -> dict[str, torch.Tensor]:
    """The released state dict; ValueError where the file is broken or something else."""
    import torch

    if not path.is_file():
        raise FileNotFoundError(f"weights '{path}' not found; put the released ckpt.pt there")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a handful of types for broken archives
        raise ValueError(f"weights '{path}' cannot be read: {why_unreadable(path, error)}; fetch them again") from error
    if not isinstance(state, dict) or "vision_proj.weight" not in state:
        raise ValueError(f"weights '{path}' hold no vision_proj.weight; give the released ckpt.pt")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _lora(state: Mapping[str, torch.Tensor], path: Path) -> tuple[int, list[str]]:
    """LoRA's rank and the projections it sits on."""
    keys = [key for key in state if key.endswith("lora_A.default.weight")]
    if not keys:
        raise ValueError(f"weights '{path}' hold no LoRA matrices; give the released ckpt.pt")
    targets = dict.fromkeys(key.split(".")[-4] for key in keys)
    return state[keys[0]].shape[0], list(targets)


def _renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Released names -> ours."""
    renamed = {}
    for key, value in state.items():
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
        own = PREFIXES.get(prefix, "") + key.removeprefix(prefix)
        renamed[own] = value.reshape(value.shape[-2:]) if key == "abstractor.query_embeds" else value
    return renamed
