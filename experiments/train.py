"""Trains a model on the configured data, evaluates it, and leaves a run's folder behind."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from depictqa.signals import INTERRUPTED
from depictqa.whole_file import write_whole
from experiments.console import relative, terminating
from experiments.float8 import hold_in_float8
from experiments.prepare import open_data, prepare
from experiments.ranks import end_with_agent, is_further_process, start_ranks
from experiments.resume import check_place, is_same_run, resumed_training, rewind
from experiments.token_budget import AUTO, explain, settle
from experiments.trainer import accelerate, build_loggers, build_trainer, connect, quiet, what_next


def run(cfg: DictConfig) -> dict[str, float]:
    """`program=train`. Metrics are also in the run's `metrics.json`."""
    with terminating():
        end_with_agent()
        return _run(cfg)


def _run(cfg: DictConfig) -> dict[str, float]:
    if cfg.resume is None:
        folder = relative(HydraConfig.get().runtime.output_dir)
    else:
        folder = Path(cfg.resume)
        cfg = resumed_training(cfg, folder)
    if (num_ranks := prepare(cfg)) > 1:
        start_ranks(num_ranks)
        return json.loads((folder / "metrics.json").read_text())
    goes_on = cfg.resume is not None and is_same_run(cfg, folder)
    if cfg.resume is None:
        write_config(cfg, folder)
    start = time.perf_counter()
    model, metrics, stepped = train(cfg, folder)
    if is_further_process():
        return metrics  # one process evaluates
    from experiments.answerers import open_baselines, our_answerer
    from experiments.evaluate import evaluate, exit_if_unread
    from experiments.loggers import close_wandb

    answerers = [our_answerer(model, cfg), *open_baselines(cfg)]
    metrics |= evaluate(answerers, cfg, folder, resume=goes_on and not stepped)
    metrics |= {"seconds": time.perf_counter() - start, **peak_memory()}
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    close_wandb(metrics)
    for name in ("config.yaml", "metrics.json", "metrics.csv", "model", "checkpoints", "results", "wandb"):
        if (folder / name).exists():
            print(f"{name:13}{folder / name}")
    exit_if_unread(metrics)
    return metrics


def train(cfg: DictConfig, folder: Path) -> tuple[Any, dict[str, float], bool]:
    """The trained model, also in `folder`/model, how the training went, and whether it made a step: a run that is
    resumed may have made all of them before."""
    import lightning as L
    import torch

    from depictqa.callbacks.batch_sizes import BatchSizes
    from depictqa.lightning_module import DepictQAModule
    from depictqa.models.config import ModelConfig
    from depictqa.models.depictqa import DepictQA
    from depictqa.optim import OptimizerConfig
    from experiments.loggers import CsvLogger

    quiet()
    if cfg.trainer.threads:
        torch.set_num_threads(cfg.trainer.threads)
    L.seed_everything(cfg.seed, verbose=False)
    config = ModelConfig.from_dict(OmegaConf.to_container(cfg.model, resolve=True))  # type: ignore[arg-type]
    tried_before = cfg.trainer.float8.enabled or cfg.data.token_budget == AUTO  # in the dtype of training
    model = DepictQA.build(config, as_stored=not tried_before)
    checkpoint = rewind(folder) if cfg.resume else None
    trainer = build_trainer(cfg, folder)
    data = open_data(cfg, model.encoder)
    if getattr(trainer.strategy, "splits_parameters", False) and model.made_state_dict():
        raise ValueError(
            "what is frozen was made at random (model.language.path, model.vision.weights), which a strategy that "
            "splits parameters cannot save; take trainer=ddp, or train all of it (tuning=full, trainable=true)"
        )
    model.train()  # transformers opens weights in evaluation mode
    cost = hold_in_float8(cfg, model, trainer, data) if cfg.trainer.float8.enabled else {}
    accelerate(cfg, model)
    if cfg.data.token_budget == AUTO:
        settle(cfg, folder, trainer, model, data)
    num_steps = connect(cfg, folder, trainer, data)
    if checkpoint is not None:
        check_place(checkpoint, data.train_dataloader())
        write_config(cfg, folder)  # once nothing is refused any more
    trainer.loggers = build_loggers(cfg, folder)  # then, too, W&B's run begins
    module = DepictQAModule(model, OptimizerConfig(**cfg.trainer.optimizer), num_steps, cfg.seed)
    start = time.perf_counter()
    sizes = BatchSizes()
    trainer.callbacks.append(sizes)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stop:  # Lightning ends with 1 on Ctrl-C; ours, on SIGTERM, with 143
        if trainer.is_global_zero:
            print(f"stopped{what_next(folder)}", file=sys.stderr, flush=True)
        raise SystemExit(INTERRUPTED if trainer.interrupted and stop.code == 1 else stop.code) from None
    except (RuntimeError, MemoryError) as error:
        explain(error, sizes, cfg.data.token_budget)
        raise
    if trainer.is_global_zero:
        rebuild = getattr(trainer.strategy, "rebuilds", False) or cfg.trainer.float8.enabled
        model = saved(model, folder, cfg.trainer.keep, rebuild).to(trainer.strategy.root_device)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()} | cost
    stepped = sizes.fitted > 0
    if not stepped:
        metrics = CsvLogger(folder / "metrics.csv").last() | metrics
    metrics |= {"train/steps": trainer.global_step, "train/seconds": time.perf_counter() - start}
    return model, metrics, stepped


def saved(model: Any, folder: Path, keep: str, rebuild: bool) -> Any:
    """The trained model, once it is in `folder`/model: the last parameters, or the best of the validations.

    `rebuild`: it is opened from there, since training has split or cast the one in memory.
    """
    from depictqa.callbacks import BEST, LAST
    from depictqa.checkpoint import read_checkpoint
    from depictqa.pretrained import open_pretrained, save_pretrained

    checkpoints = folder / "checkpoints"
    kept = checkpoints / (BEST if keep == "best" and (checkpoints / BEST).is_file() else LAST)
    state = read_checkpoint(kept)["state_dict"]
    save_pretrained(model, folder / "model", state)
    if rebuild:
        return open_pretrained(folder / "model")
    model.load_trained_state_dict(state)
    return model


def peak_memory() -> dict[str, float]:
    """Of this process, and of its GPU if it has one, in GB (1e9 bytes)."""
    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    memory = {"peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
    if torch.cuda.is_available():
        memory["peak_gpu_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return memory


def write_config(cfg: DictConfig, folder: Path) -> None:
    if not is_further_process():
        write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
