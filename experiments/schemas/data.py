"""What is trained on, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class RepeatsConfig:
    """How often each source's samples are drawn in an epoch of `data=full_mix`."""

    templated: int = 1
    detailed: int = 20
    external: int = 2


@dataclass
class SyntheticConfig:
    """The embedded data, built on the spot: settings of `datamodules.sources.synthetic.build`, and a folder of
    `photos` of one's own."""

    photos: str | None = None
    seed: int = MISSING
    num_templated: int = MISSING
    num_identification: int = MISSING
    num_detailed: int = MISSING
    num_external: int = MISSING
    num_val: int = MISSING
    num_test: int = MISSING
    crop_size: int = MISSING
    vocab_size: int = MISSING
    functions_per_class: int = MISSING


@dataclass
class ScaleConfig:
    """What changes with the size of things; `synthetic` is null where the data are the user's. `language_models` are
    what `ablation=language_model` compares."""

    name: str = MISSING
    language_models: str = MISSING
    repeats: RepeatsConfig = field(default_factory=RepeatsConfig)
    synthetic: SyntheticConfig | None = None


@dataclass
class LoaderConfig:
    """What every data module takes. `batch_size` is samples an optimiser step, over all processes; `token_budget`
    tokens a micro-batch, padding included, which bounds memory; auto tries what fits. `packing`: none (a padded row for
    each sample), step (the step's samples end to end in one row) or window (full rows of `pack_length` tokens, null for
    one that fits `batch_size`; steps hold that many samples on average). `crop`: the random crop of training. `epochs`
    that the plan looks ahead to. `max_skipped`: the share of unreadable samples at which a run fails. `references`:
    what is trained on, all or only questions with, or without, a reference; content descriptions, which have none,
    always."""

    _target_: str = MISSING
    batch_size: int = 16
    token_budget: Any = 8192
    packing: str = "none"
    pack_length: int | None = None
    num_workers: int = 0
    seed: int = 131
    crop: bool = True
    epochs: int = 1
    max_skipped: float = 0.01
    pin_memory: bool | None = None
    references: str = "all"


@dataclass
class SourceConfig(LoaderConfig):
    """One source's shards, under `root`."""

    root: str = MISSING
    repeat: int = 1


@dataclass
class MixtureConfig(LoaderConfig):
    """Several sources, each repeated a whole number of times."""

    sources: dict[str, SourceConfig] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
