"""Memory of a GPU in training: a model's parts, shared out over several GPUs as each strategy does, and a pack's step.

Bytes; a GPU's own operations (libraries, fragments of the allocator) are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from depictqa.costs.trace import StepCost
from depictqa.models.depictqa import DepictQA

ADAM_STATES = 2  # of each trained parameter, in its dtype
ADAM_STEP = 4  # bytes of each trained tensor's count of steps
LIVE_PARAMETERS = 10**9  # DeepSpeed's stage3_max_live_parameters by default
TOWER, PROJECTOR = "vision tower", "projector"
HALF, FULL = 2, 4  # bytes of bfloat16 and float32


@dataclass(frozen=True)
class Part:
    """Parameters of a model that belong together."""

    name: str
    tensors: int
    parameters: int
    trained: int
    trained_tensors: int
    bytes: int
    cast_bytes: int  # where what is floating is in bfloat16
    trained_bytes: int
    dtypes: str

    @classmethod
    def of(cls, name: str, parameters: Iterable[torch.Tensor]) -> Part:
        every = list(parameters)
        trained = [p for p in every if p.requires_grad]
        return cls(
            name,
            len(every),
            sum(p.numel() for p in every),
            sum(p.numel() for p in trained),
            len(trained),
            sum(p.numel() * p.element_size() for p in every),
            sum(p.numel() * (HALF if p.is_floating_point() else p.element_size()) for p in every),
            sum(p.numel() * p.element_size() for p in trained),
            ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in every})),
        )


def parts(model: DepictQA) -> list[Part]:
    """Vision tower, projector, and the language model's embeddings and head, decoder layers and LoRA."""
    lora: list[torch.Tensor] = []
    layers: list[torch.Tensor] = []
    rest: list[torch.Tensor] = []
    for name, parameter in model.language.named_parameters():
        group = lora if "lora_" in name else layers if ".layers." in name else rest
        group.append(parameter)
    groups: dict[str, list[torch.Tensor]] = {
        TOWER: list(model.vision.parameters()),
        PROJECTOR: list(model.projector.parameters()),
        "decoder layers": layers,
        "embeddings, head, last norm": rest,
        "LoRA": lora,
    }
    return [Part.of(name, group) for name, group in groups.items() if group]


@dataclass(frozen=True)
class Strategy:
    """What is shared out over the GPUs, and whether DeepSpeed keeps the parameters: all in bfloat16, with float32
    masters of the trained ones beside Adam's states."""

    weights: bool = False
    gradients: bool = False
    states: bool = False
    deepspeed: bool = False


STRATEGIES = {
    "ddp": Strategy(),
    "deepspeed 1": Strategy(states=True, deepspeed=True),
    "deepspeed 2": Strategy(gradients=True, states=True, deepspeed=True),
    "deepspeed 3": Strategy(weights=True, gradients=True, states=True, deepspeed=True),
    "fsdp2": Strategy(weights=True, gradients=True, states=True),
}


@dataclass(frozen=True)
class Memory:
    """Of each GPU, in bytes."""

    weights: float
    gradients: float
    states: float
    exchanged: float  # gradients on their way between GPUs, or weights that are gathered for a while
    activations: float
    workspace: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.states + self.exchanged + self.activations + self.workspace

    @property
    def standing(self) -> float:
        """Whatever the pack."""
        return self.weights + self.gradients + self.states + self.exchanged


def memory(found: list[Part], num_layers: int, strategy: Strategy, gpus: int, cost: StepCost, tokens: float) -> Memory:
    """Of each of so many GPUs in a step on `tokens` tokens."""
    trained = sum(part.trained for part in found)
    tensors = sum(part.trained_tensors for part in found)
    weights: float = sum(part.bytes for part in found)
    gradients: float = sum(part.trained_bytes for part in found)
    states: float = ADAM_STATES * gradients + ADAM_STEP * tensors
    if strategy.deepspeed:
        weights, gradients = (sum(part.cast_bytes for part in found), HALF * trained)
        states = (1 + ADAM_STATES) * FULL * trained
    exchanged = gradients if gpus > 1 else 0.0
    if strategy.weights and gpus > 1:
        exchanged += _gathered(found, num_layers, strategy)
        weights = _split(weights, found, strategy, gpus)
    step = cost.at(tokens)
    return Memory(
        weights,
        gradients / (gpus if strategy.gradients else 1),
        states / (gpus if strategy.states else 1),
        exchanged,
        step.kept,
        step.workspace,
    )


def _split(weights: float, found: list[Part], strategy: Strategy, gpus: int) -> float:
    """FSDP2 leaves a frozen vision tower whole. ZeRO-3 splits all, and keeps tower and projector whole beside it."""
    by_name = {part.name: part for part in found}
    tower = by_name[TOWER]
    if strategy.deepspeed:
        return weights / gpus + tower.cast_bytes + by_name[PROJECTOR].cast_bytes
    frozen = tower.bytes - tower.trained_bytes
    return (weights - frozen) / gpus + frozen


def _gathered(found: list[Part], num_layers: int, strategy: Strategy) -> float:
    """Whole weights at a time: DeepSpeed's by number; FSDP2's outside of the layers, a layer in use and the next."""
    by_name = {part.name: part for part in found}
    if strategy.deepspeed:
        return HALF * min(LIVE_PARAMETERS, sum(part.parameters for part in found))
    layers = sum(by_name[name].bytes for name in ("decoder layers", "LoRA") if name in by_name)
    outside = by_name["embeddings, head, last norm"].bytes + by_name[PROJECTOR].bytes + by_name[TOWER].trained_bytes
    return outside + 2 * layers / num_layers


def token_budget(standing: float, cost: StepCost, room: float, step: int = 64) -> int:
    """The most tokens of a pack, in steps, with which `standing` and a step's bytes fit `room`; 0 if none do."""
    tokens = int((room - standing - cost.fixed) // cost.per_token) // step * step
    return max(0, tokens)
