"""Evaluates a model on a benchmark: results, figures, a table. Also what training ends with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from datamodules.sources.synthetic import SETTINGS
from depictqa.evaluation.held_out import METRICS, evaluate_held_out, score_folder, write_metrics
from depictqa.evaluation.runner import Progress
from depictqa.evaluation.score import Scores, flat_metrics
from depictqa.evaluation.table import results_table
from depictqa.evaluation.vote_table import vote_tables
from depictqa.sentence_embedding import SentenceEmbedder
from experiments.checkpoints import open_model
from experiments.prepare import build_synthetic, missing_benchmark, open_baselines, open_data

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
        missing = [*missing_benchmark(cfg)]
        if missing:
            raise FileNotFoundError("; ".join(missing))
        open_baselines(cfg)  # what is missing is said before a large model is read
        model = open_model(cfg)
        own_shards = cfg.evaluation.root is not None or (Path(cfg.paths.data) / SETTINGS).is_file()
        if cfg.scale.synthetic is not None and not own_shards:
            options = OmegaConf.to_container(cfg.scale.synthetic, resolve=True)
            build_synthetic(Path(cfg.paths.data), options)  # type: ignore[arg-type]
        if cfg.checkpoint is not None and cfg.evaluation.root is None:
            _tell_other_data(Path(cfg.checkpoint), cfg.paths.data)
        metrics = evaluate(model, cfg, folder)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    write_metrics(folder / METRICS, metrics)
    for name in ("config.yaml", METRICS, "results"):
        if (folder / name).exists():
            print(f"{name:13}{folder / name}")
    return metrics


def _tell_other_data(checkpoint: Path, data: str) -> None:
    """Figures on other data than a run's own do not stand beside its own figures."""
    for folder in (checkpoint, checkpoint.parent):
        if (folder / "config.yaml").is_file():
            own = OmegaConf.select(OmegaConf.load(folder / "config.yaml"), "paths.data")
            if own not in (None, data):
                print(f"data {data}; the run was trained on {own} (paths.data={own} takes what it held out)")
            return


def evaluate(model: DepictQA, cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Flat metrics of a model, `test/<benchmark>/<metric>`; results go to `folder`/results, a table to the console.

    `evaluation.run` is the dotted name of what asks and scores.
    """
    return _report(get_method(cfg.evaluation.run)(model, cfg, folder, _progress()), cfg)


def held_out(model: DepictQA, cfg: DictConfig, folder: Path, progress: Progress) -> Scores:
    """`evaluation=held_out`: on the data's own held-out samples."""
    options = cfg.evaluation
    data = open_data(cfg, model.encoder)
    return evaluate_held_out(
        model,
        data.samples(options.split),
        folder,
        max_new_tokens=options.max_new_tokens,
        batch_size=options.batch_size,
        limit=options.limit,
        baselines=open_baselines(cfg),
        embed=SentenceEmbedder(Path(options.sentence_model)) if options.sentence_model else None,
        progress=progress,
    )


def _report(scores: Scores, cfg: DictConfig) -> dict[str, float]:
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    console.print(results_table(scores, title=f"{cfg.evaluation.name} ({cfg.evaluation.split})"))
    for table in vote_tables(scores):
        console.print(table)
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
