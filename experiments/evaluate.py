"""Evaluates a model on held-out samples: results, figures, a table. Also what training ends with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from depictqa.evaluation.held_out import METRICS, Progress, evaluate_held_out, score_folder, write_metrics
from depictqa.evaluation.score import Scores, flat_metrics
from depictqa.evaluation.table import results_table
from experiments.checkpoints import open_model
from experiments.prepare import build_synthetic, open_baselines, open_data

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA

TABLE_WIDTH = 120
"""Of the table where the console does not say how wide it is."""


def run(cfg: DictConfig) -> dict[str, float]:
    """`program=evaluate`: of `checkpoint`, or of a finished run's results alone (`evaluation.results=RUN_DIR`)."""
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    if cfg.evaluation.results is not None:
        scores = score_folder(Path(cfg.evaluation.results))
        metrics = _report(scores, cfg)
    else:
        if cfg.scale.synthetic is not None:
            options = OmegaConf.to_container(cfg.scale.synthetic, resolve=True)
            build_synthetic(Path(cfg.paths.data), options)  # type: ignore[arg-type]
        open_baselines(cfg)  # what is missing is said before a large model is read
        metrics = evaluate(open_model(cfg), cfg, folder)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    write_metrics(folder / METRICS, metrics)
    for name in ("config.yaml", METRICS, "results"):
        if (folder / name).exists():
            print(f"{name:13}{folder / name}")
    return metrics


def evaluate(model: DepictQA, cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Flat metrics of a model, `test/<benchmark>/<metric>`; results go to `folder`/results, a table to the console."""
    options = cfg.evaluation
    data = open_data(cfg, model.encoder)
    scores = evaluate_held_out(
        model,
        data.samples(options.split),
        folder,
        max_new_tokens=options.max_new_tokens,
        batch_size=options.batch_size,
        limit=options.limit,
        baselines=open_baselines(cfg),
        progress=_progress(),
    )
    return _report(scores, cfg)


def _report(scores: Scores, cfg: DictConfig) -> dict[str, float]:
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    console.print(results_table(scores, title=f"held out ({cfg.evaluation.split})"))
    return flat_metrics(scores, cfg.evaluation.split)


def _progress() -> Progress:
    """A line that is rewritten on a terminal; elsewhere one line when a benchmark is through."""
    console = Console(highlight=False)

    def tell(name: str, done: int, of: int) -> None:
        if console.is_terminal:
            console.print(f"evaluating {name} {done}/{of}", end="\n" if done == of else "\r")
        elif done == of:
            console.print(f"evaluated {name}: {of}")

    return tell
