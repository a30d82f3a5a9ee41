"""The model that a command is about: `checkpoint=...`, or that of the newest run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from experiments.checks import check_accelerator
from experiments.jobs import JOB
from experiments.resume import CHECKPOINTS

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA


def open_model(cfg: DictConfig) -> DepictQA:
    """On the GPU where there is one and `trainer.accelerator` does not forbid it, else on the CPU.

    A released `ckpt.pt` takes its bases from `model.vision.weights` and `model.language.path`, or from beside it, and
    what it does not say of itself from `model.language.lora_alpha`, `model.prompt.unique_tags` and
    `model.projector.num_heads`.
    """
    path = checkpoint_path(cfg)
    check_cut(path)
    check_accelerator(cfg.trainer.accelerator, "trainer.accelerator")

    import torch

    from depictqa.pretrained import open_checkpoint

    model = open_checkpoint(
        path,
        vision=cfg.model.vision.weights,
        language=cfg.model.language.path,
        lora_alpha=cfg.model.language.lora_alpha,
        unique_tags=cfg.model.prompt.unique_tags,
        abstractor_heads=cfg.model.projector.num_heads,
    )
    gpu = cfg.trainer.accelerator != "cpu" and torch.cuda.is_available()
    return model.to("cuda" if gpu else "cpu").eval()


def check_cut(path: Path) -> None:
    """FileNotFoundError where it is of a run whose training did not come to its end."""
    run = path.parent if path.name in ("model", "checkpoints") else path
    if any((run / name).is_file() for name in CHECKPOINTS) and not (run / "model").is_dir():
        raise FileNotFoundError(
            f"checkpoint '{path}' holds no model yet, since its training was cut; `python run.py resume={run}` goes on "
            "with it and leaves one"
        )


def checkpoint_path(cfg: DictConfig) -> Path:
    """`checkpoint`, or the newest run's, which is told."""
    if cfg.checkpoint is not None:
        return Path(cfg.checkpoint)
    path = newest_model(Path(cfg.paths.runs))
    print(f"no checkpoint= given: using the newest, {path}", file=sys.stderr)
    return path


def newest_model(runs: Path) -> Path:
    """The `model/` that was written last under `runs`; FileNotFoundError where there is none. Sweeps' jobs, which are
    often made worse on purpose, are left out."""
    folders = {path.parent: path.stat().st_mtime for path in runs.glob("**/model/model.safetensors")}
    own = [folder for folder in folders if not (folder.parent / JOB).is_file()]
    if not own:
        jobs = ", and a sweep's job is only taken by name" if folders else ""
        raise FileNotFoundError(
            f"no checkpoint= given and no trained model under '{runs}'{jobs}; train one first "
            "(python run.py experiment=full_mix) or give checkpoint=DIR_OR_CKPT"
        )
    return max(own, key=lambda folder: folders[folder])
