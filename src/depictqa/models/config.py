"""What a model is made of, as plain values: the same dataclasses are Hydra schemas and a saved model's `config.json`.

Nothing here imports torch, so that configs compose at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from depictqa.image import ImageGeometry
from depictqa.prompt import PromptStyle

FEATURES = ("local", "global")
PATCH_INITS = ("random", "cosine")
PROJECTORS = ("linear", "mlp", "abstractor")
TUNINGS = ("lora", "full", "frozen")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass
class VisionConfig:
    """The image encoder. Exactly one source of its shape: an open_clip `name`, OpenAI `weights`, or `architecture`.

    `weights` is a local file (OpenAI's TorchScript archive or state dict, or any open_clip checkpoint with `name`);
    `architecture` are arguments of `open_clip.transformer.VisionTransformer`, for towers of one's own size.
    `patch_init`: "random", or "cosine" for an `architecture` to be trained from scratch (see `patch_init.py`).
    `features`: "local" gives every patch of the last block (no final norm), "global" the projected class token.
    `dtype` of its parameters: half as wide ones need not be cast at every step of mixed precision.
    """

    name: str | None = None
    weights: str | None = None
    architecture: dict[str, Any] | None = None
    patch_init: str = "random"
    features: str = "local"
    trainable: bool = False
    dtype: str = "float32"


@dataclass
class ProjectorConfig:
    """From image features to the language model's width. The last four are the abstractor's."""

    kind: str = "linear"
    num_queries: int = 64
    num_layers: int = 4
    num_heads: int = 8
    feedforward: int = 2048


@dataclass
class LanguageConfig:
    """The language model: a Hugging Face folder or hub id (`path`), or `architecture` for one from scratch.

    `architecture` holds the arguments of a transformers config, `model_type` among them; its vocabulary is the
    tokenizer's. `tokenizer` defaults to `path`. `tuning` is "lora", "full" or "frozen".
    """

    path: str | None = None
    tokenizer: str | None = None
    architecture: dict[str, Any] | None = None
    tuning: str = "lora"
    lora_rank: int = 16
    lora_alpha: int = 16
    lora_dropout: float = 0.1
    lora_targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])
    dtype: str = "float32"


@dataclass
class ModelConfig:
    """The whole model. `max_text_tokens` bounds question and answer after the last image."""

    vision: VisionConfig = field(default_factory=VisionConfig)
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    prompt: PromptStyle = field(default_factory=PromptStyle)
    image: ImageGeometry = field(default_factory=ImageGeometry)
    max_text_tokens: int = 512

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`; ValueError names an unknown key."""
        return _from_dict(cls, values, "model")


def _from_dict(cls: type, values: Mapping[str, Any], path: str) -> Any:
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            raise ValueError(f"{path}.{key} unknown; choose from {', '.join(known)}")
    defaults = cls()
    built = {}
    for key, value in values.items():
        default = getattr(defaults, key)
        if is_dataclass(default) and isinstance(value, Mapping):
            value = _from_dict(type(default), value, f"{path}.{key}")
        built[key] = value
    return cls(**built)


def check_choice(value: str, choices: tuple[str, ...], key: str) -> str:
    """`value` if it is one of `choices`, else a ValueError that names `key` and them."""
    if value not in choices:
        raise ValueError(f"{key} '{value}' unknown; choose {', '.join(choices)}")
    return value
