"""`evaluation=bapps`: brief comparisons against people's votes."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from datamodules.indexed import IndexedShards
from datamodules.sources.bapps import subset_of
from depictqa.evaluation.benchmark import Benchmark, Questions
from depictqa.evaluation.samples import of_tasks
from depictqa.evaluation.swap import BothOrders
from depictqa.sample import Task
from experiments.prepare import benchmark_root


def benchmarks(cfg: DictConfig) -> list[Benchmark]:
    """ValueError where the shards are not BAPPS'."""
    options = cfg.evaluation
    shards = IndexedShards(benchmark_root(Path(options.root), options.split), options.split)
    samples = of_tasks(shards, {Task.COMPARISON}, options.limit)
    if not len(samples):
        raise ValueError(f"no comparisons in '{shards.folder}'; build BAPPS' shards (evaluation.root)")
    subset_of(shards.entry(samples.indices[0]).key)  # shards of another source are refused before they are asked about
    return [Questions(options.name, BothOrders(samples) if options.swap else samples, subset=subset_of)]
