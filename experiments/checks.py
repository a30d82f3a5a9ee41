"""Options of a command that cannot be: said in one line before anything is opened or written."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from depictqa.models.config import check_choice
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
LEAST = {
    "num_nodes": 1,
    "threads": 1,
    "max_epochs": 1,
    "gradient_clip": 0,
    "validations_per_epoch": 1,
    "checkpoint_every": 1,
    "log_every": 1,
    "progress_every": 0,
    "num_examples": 0,
    "max_bad_steps": 0,
    "example_tokens": 1,
    "early_stopping.patience": 0,
    "optimizer.weight_decay": 0,
}
"""The least that a number of `trainer` may be; null is no number."""


def check_groups(words: Sequence[str]) -> None:
    """ValueError where a list is given for what is one thing, which Hydra would merge."""
    for word in OverridesParser.create().parse_overrides(list(words)):
        if word.key_or_group in ONE_CHOICE and isinstance(word.value(), list):
            raise ValueError(f"{word.input_line}: {word.key_or_group} takes one choice and no list")


def check_training(cfg: DictConfig) -> None:
    """ValueError for what no training can have."""
    options = cfg.trainer
    check_choice(options.keep, KEPT, "trainer.keep")
    check_accelerator(options.accelerator, "trainer.accelerator")
    check_choice(ALIASES.get(options.precision, options.precision), PRECISIONS, "trainer.precision")
    if isinstance(options.strategy, str) and options.strategy not in STRATEGIES:
        choices = f"{', '.join(STRATEGIES)}, or trainer=fsdp2, trainer=deepspeed"
        raise ValueError(f"trainer.strategy '{options.strategy}' unknown; choose {choices}")
    for name, least in LEAST.items():
        value = OmegaConf.select(options, name)
        if value is not None and not value >= least:
            raise ValueError(f"trainer.{name} is {value}; give at least {least}")
    if not (options.max_steps == -1 or options.max_steps >= 1):
        raise ValueError(f"trainer.max_steps is {options.max_steps}; give at least 1, or -1 for whole epochs")
    if not (math.isfinite(options.optimizer.lr) and options.optimizer.lr > 0):
        raise ValueError(f"trainer.optimizer.lr is {options.optimizer.lr}; give a number over 0, such as 2e-4")
    if cfg.seed < 0:
        raise ValueError(f"seed is {cfg.seed}; give at least 0")
    if isinstance(options.devices, int | str) and not re.fullmatch(DEVICES, str(options.devices)):
        raise ValueError(f"trainer.devices is {options.devices}; give how many, auto, or a list such as [0,1]")
    if options.spike is not None and not options.spike > 0:
        raise ValueError(f"trainer.spike is {options.spike}; give a number of deviations over 0, or null")
    check_recompute(options.recompute)
    zero_stage = options.strategy.get("stage") if OmegaConf.is_dict(options.strategy) else None
    if zero_stage is not None and options.max_bad_steps:
        raise ValueError("trainer.max_bad_steps needs a strategy that leaves steps to the trainer; set it to 0")
    if options.compile and zero_stage == 3:
        raise ValueError(
            "trainer.compile does not go with ZeRO stage 3, which acts inside the layers; "
            "take stage 1 or 2, or trainer=fsdp2"
        )
    if options.compile and cfg.data.packing == "none":
        raise ValueError("trainer.compile needs batches of few shapes; set data.packing=window, or step")


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


def check_numbers(cfg: DictConfig) -> None:
    """ValueError, before anything is opened, for a number of the evaluation or of a baseline that cannot be."""
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
