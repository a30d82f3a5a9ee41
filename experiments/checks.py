"""Options of a command that cannot be: said in one line before anything is opened or written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from depictqa.models.config import DTYPES, FEATURES, PATCH_INITS, PROJECTORS, TUNINGS, check_choice
from depictqa.sample import Task

ONE_CHOICE = ("program", "model", "data", "trainer", "evaluation", "logger", "paths", "scale", "writer", "judge")
KEPT = ("last", "best")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
"""What has no GPU of CUDA answers on the CPU."""
PRECISIONS = ("auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true", "64-true")
ALIASES = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
"""Lightning's other names of some; it warns of them."""
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
"""Lightning's that go by their name; others are ours, and are chosen by `trainer=NAME`."""
DEVICES = r"auto|-1|[1-9][0-9]*|([0-9]+,)+[0-9]*"
RANGES = {
    "seed": (0, 2**32 - 1),
    "trainer.num_nodes": (1, inf),
    "trainer.threads": (1, inf),
    "trainer.max_epochs": (1, inf),
    "trainer.gradient_clip": (0, inf),
    "trainer.validations_per_epoch": (1, inf),
    "trainer.checkpoint_every": (1, inf),
    "trainer.log_every": (1, inf),
    "trainer.progress_every": (0, inf),
    "trainer.num_examples": (0, inf),
    "trainer.max_bad_steps": (0, inf),
    "trainer.example_tokens": (1, inf),
    "trainer.early_stopping.patience": (0, inf),
    "trainer.float8.samples": (1, inf),
    "trainer.optimizer.weight_decay": (0, inf),
    "trainer.optimizer.eps": (0, inf),
    "trainer.optimizer.warmup": (0, 1),
    "trainer.optimizer.floor": (0, 1),
    "data.batch_size": (1, inf),
    "data.pack_length": (1, inf),
    "data.num_workers": (0, inf),
    "data.max_skipped": (0, 1),
    "data.epochs": (1, inf),
    "data.repeat": (1, inf),
    "model.max_text_tokens": (1, inf),
    "model.language.lora_rank": (1, inf),
    "model.language.lora_dropout": (0, 1),
    "model.projector.num_queries": (1, inf),
    "model.projector.num_layers": (1, inf),
    "model.projector.num_heads": (1, inf),
    "model.projector.feedforward": (1, inf),
    "model.image.patch": (1, inf),
    "model.image.short_side": (1, inf),
    "model.image.long_side": (1, inf),
    "model.image.min_side": (1, inf),
    "model.image.crop_min": (0, 1),
    "model.image.crop_min_side": (1, inf),
}
"""The least and the most that a number of a training may be; null is no number."""
CHOICES = {
    "trainer.keep": KEPT,
    "model.vision.features": FEATURES,
    "model.vision.patch_init": PATCH_INITS,
    "model.vision.dtype": DTYPES,
    "model.projector.kind": PROJECTORS,
    "model.language.tuning": TUNINGS,
    "model.language.dtype": DTYPES,
}


def check_groups(words: Sequence[str]) -> None:
    """ValueError where a list is given for what is one thing, which Hydra would merge."""
    for word in OverridesParser.create().parse_overrides(list(words)):
        if word.key_or_group in ONE_CHOICE and isinstance(word.value(), list):
            raise ValueError(f"{word.input_line}: {word.key_or_group} takes one choice and no list")


def check_training(cfg: DictConfig) -> None:
    """ValueError for what no training can have."""
    options = cfg.trainer
    for key, known in CHOICES.items():
        check_choice(OmegaConf.select(cfg, key), known, key)
    check_accelerator(options.accelerator, "trainer.accelerator")
    check_choice(ALIASES.get(options.precision, options.precision), PRECISIONS, "trainer.precision")
    if isinstance(options.strategy, str) and options.strategy not in STRATEGIES:
        choices = f"{', '.join(STRATEGIES)}, or trainer=fsdp2, trainer=deepspeed"
        raise ValueError(f"trainer.strategy '{options.strategy}' unknown; choose {choices}")
    for key, (least, most) in RANGES.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and not least <= value <= most:
            raise ValueError(f"{key} is {value}; give {f'{least} to {most}' if most < inf else f'at least {least}'}")
    for name in ("beta1", "beta2"):
        if not 0 <= options.optimizer[name] < 1:
            raise ValueError(f"trainer.optimizer.{name} is {options.optimizer[name]}; give at least 0 and less than 1")
    if not (options.max_steps == -1 or options.max_steps >= 1):
        raise ValueError(f"trainer.max_steps is {options.max_steps}; give at least 1, or -1 for whole epochs")
    if not (isfinite(options.optimizer.lr) and options.optimizer.lr > 0):
        raise ValueError(f"trainer.optimizer.lr is {options.optimizer.lr}; give a number over 0, such as 2e-4")
    if isinstance(options.devices, int | str) and not re.fullmatch(DEVICES, str(options.devices)):
        raise ValueError(f"trainer.devices is {options.devices}; give how many, auto, or a list such as [0,1]")
    if options.spike is not None and not options.spike > 0:
        raise ValueError(f"trainer.spike is {options.spike}; give a number of deviations over 0, or null")
    check_recompute(options.recompute)
    check_budget(cfg.data.token_budget)
    check_repeats(cfg.data)
    zero_stage = options.strategy.get("stage") if OmegaConf.is_dict(options.strategy) else None
    if zero_stage is not None and options.accelerator in ("cpu", "mps"):
        raise ValueError(
            "trainer=deepspeed needs GPUs; without them, take trainer=ddp or fsdp2 with trainer.accelerator=cpu"
        )
    if zero_stage is not None and options.max_bad_steps:
        raise ValueError("trainer.max_bad_steps needs a strategy that leaves steps to the trainer; set it to 0")
    if options.compile and zero_stage == 3:
        raise ValueError(
            "trainer.compile does not go with ZeRO stage 3, which acts inside the layers; "
            "take stage 1 or 2, or trainer=fsdp2"
        )
    if options.compile and cfg.data.packing == "none":
        raise ValueError("trainer.compile needs batches of few shapes; set data.packing=window, or step")


def check_budget(tokens: Any) -> None:
    """ValueError for what is no number of tokens, nor "auto"."""
    if tokens != "auto" and (not isinstance(tokens, int) or tokens < 1):
        raise ValueError(f"data.token_budget is {tokens}; give a whole number of at least 1, or auto")


def check_repeats(data: DictConfig) -> None:
    """ValueError where a source is repeated a negative number of times, or none is repeated at all."""
    repeats = data.get("repeats") or {}
    for name, number in repeats.items():
        if number < 0:
            raise ValueError(
                f"data.repeats.{name} (scale.repeats.{name}) is {number}; give at least 0, which leaves it out"
            )
    if repeats and not any(repeats.get(name, source.repeat) for name, source in data.sources.items()):
        raise ValueError("data.repeats (scale.repeats) are 0 for all sources; repeat one of them at least once")


def check_accelerator(choice: str, key: str) -> None:
    """ValueError for a word that is none, and for a GPU where there is none."""
    check_choice(choice, ACCELERATORS, key)
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not {"gpu": cuda or mps, "cuda": cuda, "mps": mps}.get(choice, True):
        raise ValueError(f"{key}={choice}, but torch sees no such GPU here; take cpu or auto")


def check_recompute(every: int | None) -> None:
    """ValueError where no layer is every n-th."""
    if every is not None and every < 1:
        raise ValueError(f"trainer.recompute is {every}; give a whole number of at least 1, or null")


def check_evaluation(cfg: DictConfig) -> None:
    """ValueError, before anything is opened, for what no evaluation and no baseline can have; FileNotFoundError where
    `evaluation.sentence_model` is not there."""
    from datamodules.shards import SPLITS
    from depictqa.sentence_embedding import check_sentence_model

    options = cfg.evaluation
    numbers = {f"evaluation.{name}": options[name] for name in ("batch_size", "max_new_tokens")}
    for group in ("baseline", "model_under_test"):
        for name, one in (cfg[group] or {}).items():
            found = {key: one[key] for key in ("batch_size", "max_new_tokens") if key in one}
            numbers |= {f"{group}.{name}.{key}": value for key, value in found.items()}
    for key, value in numbers.items():
        if value <= 0:
            raise ValueError(f"{key} is {value}; give at least 1")
    for name in options.tasks or ():
        check_choice(name, tuple(Task), "evaluation.tasks")
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"evaluation.limit is {options.limit}; give at least 1, or null for all")
    check_choice(options.split, (*SPLITS, "all") if "raw" in options else SPLITS, "evaluation.split")
    if options.sentence_model is not None:
        check_sentence_model(Path(options.sentence_model))
