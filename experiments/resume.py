"""Going on with a run: its own configuration, what was typed on top of it, and its log cut where it goes on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from depictqa.callbacks import LAST, NEXT, PREVIOUS, VALIDATION_DUE
from depictqa.whole_file import write_whole
from experiments.jobs import LIST

CHECKPOINTS = tuple(f"checkpoints/{name}" for name in (LAST, NEXT, PREVIOUS))
"""Where training may go on from: the newest, one that a kill has left before it was renamed, the one before."""
CHECKPOINT = CHECKPOINTS[0]
BROKEN = "checkpoints/broken.ckpt"
NEEDED = {"epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops"}
BAD_BATCHES, EXAMPLES = "bad_batches.jsonl", "examples.jsonl"
DEVICES = ("accelerator", "devices", "num_nodes", "strategy")
"""What `trainer=NAME` chooses: a run may go on with other ones."""
FIXED = ("data", "model", "scale", "seed", "photos", "trainer.max_epochs", "trainer.max_steps")
"""What a training cannot change, and what a resumed evaluation cannot, so that its results belong together:"""
ASKED = ("data", "model", "scale", "seed", "photos", "checkpoint", "model_under_test", "evaluation", "source", "raw")


def resumed_training(cfg: DictConfig, folder: Path) -> DictConfig:
    """FileNotFoundError where `folder` has no checkpoint to train on from."""
    checkpoint = next((name for name in CHECKPOINTS if (folder / name).exists()), CHECKPOINT)
    return resumed(cfg, folder, ("config.yaml", checkpoint), FIXED)


def resumed_evaluation(cfg: DictConfig, folder: Path) -> DictConfig:
    """With the baselines of this command where it names some: further ones are asked too."""
    own = _completed(_configuration(folder, ("config.yaml",)), cfg)
    if own.program.name != "evaluate":
        raise ValueError(
            f"{folder} is of program={own.program.name}; resume it so, or evaluate its model with checkpoint={folder}"
        )
    saved = resumed(cfg, folder, ("config.yaml",), ASKED)
    if not _same(saved.evaluation, own.evaluation):
        raise ValueError(f"the run in {folder} has other options evaluation.*; leave them out, or start a new run")
    if any(override.startswith("baseline=") for override in HydraConfig.get().overrides.task):
        saved.baseline = cfg.baseline
    return saved


def resumed(cfg: DictConfig, folder: Path, needed: Sequence[str], fixed: Sequence[str]) -> DictConfig:
    """The configuration that the run in `folder` was started with, changed by the single keys of this command.

    The run's data, model and scale are its own, and so are its seed and photos, from which others were derived: all
    that is `fixed`. ValueError where it is typed again and differs; FileNotFoundError where `folder` lacks a file that
    is `needed`.
    """
    saved = _completed(_configuration(folder, needed), cfg)
    hydra = HydraConfig.get()
    overrides = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
    for key in dict.fromkeys(override.key_or_group for override in overrides):
        if key in fixed and not _same(OmegaConf.select(cfg, key), OmegaConf.select(saved, key)):
            raise ValueError(f"the run in {folder} has another {key}; leave {key}= out, or start a new run with it")
    if any(override.startswith("trainer=") for override in hydra.overrides.task):
        for name in DEVICES:
            saved.trainer[name] = cfg.trainer[name]
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if (key, value) == ("data.token_budget", "auto"):
            continue  # the run has one, which was found when it began
        several = isinstance(value, list) and isinstance(OmegaConf.select(saved, key), DictConfig)  # baseline=[a,b]
        if key not in hydra.runtime.choices and not several:
            OmegaConf.update(saved, key, value, force_add=False)
    saved.resume = cfg.resume
    return saved


def is_same_run(cfg: DictConfig, folder: Path) -> bool:
    """Whether the run in `folder` was started, or gone on with, with this very configuration."""
    own, typed = (OmegaConf.to_container(one, resolve=True) for one in (_configuration(folder, ("config.yaml",)), cfg))
    return {**own, "resume": None} == {**typed, "resume": None}  # type: ignore[dict-item]


def _configuration(folder: Path, needed: Sequence[str]) -> DictConfig:
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot resume {folder}: there is no such folder (resume)")
    if (folder / LIST).is_file():
        raise ValueError(f"{folder} is a sweep's; go on with it by `python run.py -m resume={folder}`")
    for name in needed:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"cannot resume {folder}: it has no {name}; give the folder of a run that was cut short, or start one "
                "that was cut before its first checkpoint again"
            )
    path = folder / "config.yaml"
    try:
        saved = OmegaConf.load(path)
    except yaml.YAMLError as error:
        saved, problem = None, str(error).splitlines()[0]
    else:
        problem = "no mapping of options"
    if not isinstance(saved, DictConfig):
        raise ValueError(f"{path} is no configuration ({problem}); put the run's own back, or start a new run")
    return saved


def _completed(own: DictConfig, cfg: DictConfig) -> DictConfig:
    """Options that are newer than the run have their schema's defaults, or this command's values where it has none."""
    schema = OmegaConf.get_type(cfg)
    another = own.get("_target_") != cfg.get("_target_")  # another choice than this command's, which says nothing of it
    if another or not is_dataclass(schema):  # or a mapping whose keys are the user's
        return own
    defaults = OmegaConf.structured(schema)
    for key in defaults:
        value = None if OmegaConf.is_missing(cfg, key) else cfg[key]
        if isinstance(value, DictConfig) and isinstance(own.get(key), DictConfig):
            _completed(own[key], value)
        elif key not in own:
            has_default = not isinstance(value, DictConfig) and not OmegaConf.is_missing(defaults, key)
            own[key] = defaults[key] if has_default else value
    return own


def _same(typed: Any, own: Any) -> bool:
    def plain(value: Any) -> Any:
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    return plain(typed) == plain(own)


def rewind(folder: Path) -> Path:
    """The checkpoint that the run in `folder` goes on from. What metrics.csv, bad_batches.jsonl and examples.jsonl
    tell of later steps is dropped: they are made again, and so is a validation that follows the checkpoint.

    A newest one that is broken is told of and put aside; ValueError where no other can be read.
    """
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    problems: list[ValueError] = []
    for path in (folder / name for name in CHECKPOINTS):
        try:
            step, validates = _place_of(path)
        except ValueError as error:
            problems.append(error)
        except FileNotFoundError:
            continue
        else:
            rank_zero_only(_rewind)(folder, path, step, validates, next(iter(problems), None))
            return path
    if problems:
        raise ValueError(
            f"cannot resume {folder}: {'; '.join(map(str, problems))}; there is no other, so delete "
            f"{(folder / CHECKPOINT).parent} and start the run again"
        )
    raise FileNotFoundError(f"cannot resume {folder}: its checkpoints are gone")


def check_place(checkpoint: Path, loader: Any) -> None:
    """ValueError where the place in the data that a checkpoint tells is none of `loader`'s, whose draws are others."""
    from depictqa.checkpoint import read_checkpoint

    for place in read_checkpoint(checkpoint, mmap=True)["loops"]["fit_loop"]["state_dict"].get("combined_loader", []):
        loader.load_state_dict(place)


def _place_of(path: Path) -> tuple[int, bool]:
    """Steps made until then, and whether a validation follows."""
    from depictqa.checkpoint import read_checkpoint

    content = read_checkpoint(path)
    if missing := NEEDED - content.keys():
        raise ValueError(f"{path} is no checkpoint to train on from: it has no {', '.join(sorted(missing))}")
    return int(content["global_step"]), bool(content.get(VALIDATION_DUE, False))


def _rewind(folder: Path, path: Path, step: int, validates: bool, problem: ValueError | None) -> None:
    from experiments.loggers import CsvLogger

    if problem is not None:
        if (folder / CHECKPOINT).exists():
            (folder / CHECKPOINT).replace(folder / BROKEN)
        print(f"{problem}; going on from {path}, step {step}", file=sys.stderr, flush=True)
    CsvLogger(folder / "metrics.csv").rewind(step, validates)
    for name, kept in ((BAD_BATCHES, step), (EXAMPLES, step - validates)):
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8").splitlines(keepends=True)
            write_whole(folder / name, "".join(line for line in lines if _step_of(line) <= kept))


def _step_of(line: str) -> float:
    """Beyond all where a kill has cut the line short."""
    try:
        return json.loads(line)["step"]
    except json.JSONDecodeError:
        return math.inf
