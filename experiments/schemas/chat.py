"""Models behind the chat-completions API, and what they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class WriterConfig:
    """Who writes texts from questionnaires."""

    name: str = MISSING


@dataclass
class ChatConfig:
    """A model behind the chat-completions API: settings of `depictqa.chat.llm.Llm`.

    There is no field for a key: `key_variable` names the variable of the environment that holds it.
    """

    model: str | None = None
    base_url: str | None = None
    key_variable: str = MISSING
    temperature: float | None = None
    options: Any = None  # a mapping; typed as one, a command line could not fill it
    requests_per_minute: float | None = None
    num_parallel: int = MISSING
    timeout: float = MISSING
    max_retries: int = MISSING
    backoff: float = MISSING
    input_price: float | None = None
    output_price: float | None = None
    max_cost: float | None = None
    cache: str = MISSING


@dataclass
class LlmWriterConfig(ChatConfig, WriterConfig):
    """Its model, and a prompt for each task."""

    pool: str | None = None
    num_items: int = MISSING
    prompts: dict[str, str] = field(default_factory=dict)


@dataclass
class ApiConfig(ChatConfig):
    """Another multimodal language model behind an API: settings of `depictqa.baselines.api.ApiModel`."""

    _target_: str = "depictqa.baselines.api.ApiModel"
    _convert_: str = "all"  # options are sent as they are
    name: str | None = None
    layout: str = "interleaved"
    detail: str | None = None
    logprobs: bool = False
    group: str = "baseline.api"  # where these options stand, for messages


@dataclass
class JudgeConfig(ChatConfig):
    """A language model that grades texts: `protocol` is the dotted name of what is asked and how its grades count."""

    name: str = MISSING
    protocol: str = MISSING
    swap: bool = False
    prompt: str = MISSING
