"""`evaluation=bapps`: brief comparisons against people's votes, by the model and by score metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from datamodules.indexed import IndexedShards
from datamodules.sources.bapps import subset_of
from depictqa.evaluation.answerer import Answerer, ModelAnswerer
from depictqa.evaluation.benchmark import Questions, of_tasks
from depictqa.evaluation.held_out import RESULTS
from depictqa.evaluation.runner import Progress, run
from depictqa.evaluation.score import Scores, score_all
from depictqa.evaluation.swap import BothOrders
from depictqa.sample import Task
from experiments.prepare import benchmark_root, open_baselines

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA


def evaluate(model: DepictQA, cfg: DictConfig, folder: Path, progress: Progress) -> Scores:
    """Results go to `folder`/results. ValueError where the shards are not BAPPS'."""
    options = cfg.evaluation
    shards = IndexedShards(benchmark_root(Path(options.root), options.split), options.split)
    samples = of_tasks(shards, {Task.COMPARISON}, options.limit)
    if not len(samples):
        raise ValueError(f"no comparisons in '{shards.folder}'; build BAPPS' shards (evaluation.root)")
    subset_of(shards.entry(samples.indices[0]).key)  # shards of another source are refused before they are asked about
    benchmark = Questions(options.name, BothOrders(samples) if options.swap else samples, subset=subset_of)
    answerers: list[Answerer] = [ModelAnswerer(model, options.max_new_tokens, options.batch_size)]
    answerers += open_baselines(cfg)
    asked = [run(benchmark, who, folder / RESULTS, options.batch_size, progress) for who in answerers]
    return score_all(result for results in asked for result in results)
