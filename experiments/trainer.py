"""Lightning's trainer as `trainer=...` configures it: what it runs on, what it calls between steps, where it logs."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.checks import ALIASES
from experiments.ranks import open_strategy
from experiments.resume import BAD_BATCHES, CHECKPOINTS, EXAMPLES


def build_trainer(cfg: DictConfig, folder: Path) -> Any:
    """Lightning's trainer without its own checkpoints, bars and summaries."""
    import lightning as L

    from depictqa.checkpoint import AtomicCheckpointIO

    options = cfg.trainer
    trainer = L.Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=open_strategy(options.strategy),
        precision=precision(options.precision, options.accelerator),
        max_epochs=options.max_epochs,
        max_steps=options.max_steps,
        gradient_clip_val=options.gradient_clip,
        log_every_n_steps=options.log_every,
        logger=False,
        default_root_dir=folder,
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    # With several processes Lightning asks in each micro-batch whether the first was signalled, and waits for the
    # device to hear it; ours agree by callbacks.checkpoints.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    return trainer


def what_next(folder: Path) -> str:
    """For a run that ends before its time."""
    has_checkpoint = any((folder / name).is_file() for name in CHECKPOINTS)
    return f"; go on with resume={folder}" if has_checkpoint else "; it has no checkpoint yet, so start it again"


def precision(choice: str, accelerator: str) -> Any:
    """`choice`, or for "auto" bf16 where a GPU will be used that has it."""
    if choice != "auto":
        return ALIASES.get(choice, choice)
    import torch

    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def connect(cfg: DictConfig, folder: Path, trainer: Any, data: Any) -> int:
    """Fits the trainer to the data's plan and adds the callbacks. Returns the number of optimiser steps."""
    from depictqa.callbacks.checkpoints import Checkpoints
    from depictqa.callbacks.early_stopping import EarlyStopping
    from depictqa.callbacks.health import Health
    from depictqa.callbacks.peers import Peers
    from depictqa.callbacks.progress import ProgressLine
    from experiments.examples import GeneratedExamples, spread

    options = cfg.trainer
    data.setup("fit", world_size=trainer.world_size, rank=trainer.global_rank)
    num_steps = data.steps_per_epoch * options.max_epochs
    if options.max_steps > 0:
        num_steps = min(num_steps, options.max_steps)
    trainer.accumulate_grad_batches = data.accumulate
    steps_between = max(1, data.steps_per_epoch // max(1, options.validations_per_epoch))
    trainer.val_check_interval = steps_between * data.accumulate
    samples = spread(data.samples("val"), options.num_examples)
    trainer.callbacks += [
        Peers(lambda: what_next(folder)),
        Health(folder / BAD_BATCHES, options.max_bad_steps, options.spike),
        Checkpoints(folder / "checkpoints", options.checkpoint_every),
        ProgressLine(num_steps, options.progress_every),
        GeneratedExamples(samples, folder / EXAMPLES, options.example_tokens),
    ]
    if options.early_stopping.patience is not None:
        trainer.callbacks.append(EarlyStopping(**options.early_stopping, mode="min"))
    return num_steps


def build_loggers(cfg: DictConfig, folder: Path) -> list[Any]:
    """metrics.csv first, then W&B where it is wanted."""
    from experiments.loggers import CsvLogger, wandb_logger

    loggers: list[Any] = [CsvLogger(folder / "metrics.csv")]
    if cfg.logger.wandb:
        config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        online = wandb_logger(folder, cfg.logger.project, f"{cfg.name}/{folder.name}", cfg.logger.group, config)
        loggers += [online] if online else []
    return loggers


def accelerate(cfg: DictConfig, model: Any) -> None:
    """What changes speed and memory alone: compiled layers, and activations that are not kept."""
    options = cfg.trainer
    if options.compile:
        model.language.compile_layers()
        model.vision.compile_blocks()
    if options.recompute is not None:
        model.language.recompute(options.recompute)


def quiet() -> None:
    """Leaves the console to our own lines; warnings of one's own making still show."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*on epoch level in distributed setting.*")  # ours are gathered
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
    warnings.filterwarnings("ignore", message=".*returned a view tensor.*")  # of FSDP2; nobody changes it in place
