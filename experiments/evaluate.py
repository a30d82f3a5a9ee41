"""Evaluates models on a benchmark: results, figures, a table. Also what training ends with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

import depictqa.evaluation.evaluate as evaluation
from datamodules.sources.synthetic import SETTINGS
from depictqa.evaluation.answerer import Answerer
from depictqa.evaluation.benchmark import Benchmark
from depictqa.evaluation.evaluate import METRICS, RESULTS, score_folder, write_metrics
from depictqa.evaluation.held_out import held_out_benchmarks
from depictqa.evaluation.runner import Progress, Runner
from depictqa.evaluation.score import ERRORS, Scores, flat_metrics
from depictqa.evaluation.table import results_table
from depictqa.evaluation.vote_table import vote_tables
from depictqa.report.correlations import correlation_table
from depictqa.report.just_noticeable import jnd_table
from depictqa.report.renderers.console import print_tables
from depictqa.report.runs import of_scores
from depictqa.sample import Task
from depictqa.whole_file import write_whole
from experiments.answerers import asks_ours, open_others, our_answerer
from experiments.checkpoints import checkpoint_path, open_model
from experiments.checks import check_evaluation
from experiments.console import UNREAD_EXIT, terminating
from experiments.jobs import point_of
from experiments.prepare import build_synthetic, has_own_data, missing_benchmark, open_data
from experiments.resume import resumed_evaluation

OF_ASKING = ("evaluation", "baseline", "model_under_test", "checkpoint", "path", "source", "raw")
"""What is asked, and who answers: no options of results that are there."""
TABLE_WIDTH = 120
"""Of the table where the console does not say how wide it is."""


def run(cfg: DictConfig) -> dict[str, float]:
    """`program=evaluate`: of `model_under_test` and the baselines, or of a finished run's results alone
    (`evaluation.results=RUN_DIR`). `resume=RUN_DIR` goes on with one that was cut short."""
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    if cfg.evaluation.results is not None:
        _check_words(HydraConfig.get().overrides.task)
        scores = score_folder(Path(cfg.evaluation.results))
        _take_names(cfg, Path(cfg.evaluation.results))
        metrics = _report(scores, cfg, folder)
        _save_config(cfg, folder)
    else:
        if cfg.resume is not None:
            folder = Path(cfg.resume)
            cfg = resumed_evaluation(cfg, folder)
        answerers = _open(cfg)
        _save_config(cfg, folder)
        try:
            with terminating():
                metrics = evaluate(answerers, cfg, folder, resume=cfg.resume is not None)
        except BaseException:
            if any((folder / RESULTS).glob("*")):
                print(f"what is answered is kept; go on with program=evaluate resume={folder}", flush=True)
            raise
    write_metrics(folder / METRICS, metrics)
    for name in ("config.yaml", METRICS, RESULTS):
        if (folder / name).exists():
            print(f"{name:13}{folder / name}")
    exit_if_unread(metrics)
    return metrics


def _check_words(words: Sequence[str]) -> None:
    """ValueError for what results that are there can no longer obey."""
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key.split(".")[0].split("/")[0] in OF_ASKING and key != "evaluation.results":
            raise ValueError(f"{word}: evaluation.results takes answers as they are; leave it out, or ask anew without")


def _take_names(cfg: DictConfig, run: Path) -> None:
    """The run's own evaluation and split, by which its figures are named."""
    if (run / "config.yaml").is_file():
        own = OmegaConf.load(run / "config.yaml")
        for name in ("name", "split"):
            cfg.evaluation[name] = OmegaConf.select(own, f"evaluation.{name}") or cfg.evaluation[name]


def evaluate(answerers: Sequence[Answerer], cfg: DictConfig, folder: Path, resume: bool = False) -> dict[str, float]:
    """Flat metrics, `test/<benchmark>/<metric>`; results go to `folder`/results, a table to the console."""
    runner = Runner(folder / RESULTS, cfg.evaluation.batch_size, _progress(), resume)
    return _report(evaluation.evaluate(open_benchmarks(cfg), answerers, runner), cfg, folder)


def open_benchmarks(cfg: DictConfig) -> list[Benchmark]:
    """`evaluation.benchmarks` is the dotted name of what makes them."""
    return get_method(cfg.evaluation.benchmarks)(cfg)


def held_out(cfg: DictConfig) -> list[Benchmark]:
    """`evaluation=held_out`: of the data's own held-out samples."""
    options = cfg.evaluation
    tasks = tuple(Task) if options.tasks is None else [Task(name) for name in options.tasks]
    return held_out_benchmarks(open_data(cfg, None).samples(options.split), options.limit, tasks)


def prepare_benchmarks(cfg: DictConfig) -> None:
    """FileNotFoundError where shards are missing; embedded data that are not there are built."""
    missing = [*missing_benchmark(cfg)]
    if missing:
        raise FileNotFoundError("; ".join(missing))
    own_shards = has_own_data(cfg) or (Path(cfg.paths.data) / SETTINGS).is_file()
    if cfg.scale.synthetic is not None and not own_shards:
        options = OmegaConf.to_container(cfg.scale.synthetic, resolve=True)
        build_synthetic(Path(cfg.paths.data), options)  # type: ignore[arg-type]


def exit_if_unread(metrics: Mapping[str, float]) -> None:
    """Exit code 2, once all is written, where an image could not be read or a request failed."""
    if any(value for name, value in metrics.items() if name.endswith(f"/{ERRORS}")):
        raise SystemExit(UNREAD_EXIT)


def _open(cfg: DictConfig) -> list[Answerer]:
    """What is missing is said before a large model is read; `checkpoint` becomes the model that is chosen."""
    check_evaluation(cfg)
    others = open_others(cfg)
    if not asks_ours(cfg):
        prepare_benchmarks(cfg)
        return others
    chosen = cfg.checkpoint is not None
    cfg.checkpoint = str(checkpoint_path(cfg))
    prepare_benchmarks(cfg)
    ours = our_answerer(open_model(cfg), cfg)
    if chosen and not has_own_data(cfg):
        _tell_other_data(Path(cfg.checkpoint), cfg.paths.data)
    return [ours, *others]


def _tell_other_data(checkpoint: Path, data: str) -> None:
    """Figures on other data than a run's own do not stand beside its own figures."""
    for folder in (checkpoint, checkpoint.parent):
        if (folder / "config.yaml").is_file():
            own = OmegaConf.select(OmegaConf.load(folder / "config.yaml"), "paths.data")
            if own not in (None, data):
                print(f"data {data}; the run was trained on {own} (paths.data={own} takes what it held out)")
            return


def _save_config(cfg: DictConfig, folder: Path) -> None:
    """The same whether it was resumed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = cfg.copy()
    saved.resume = None
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(saved, resolve=True))


def _report(scores: Scores, cfg: DictConfig, folder: Path) -> dict[str, float]:
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    title = ": ".join(filter(None, (f"{cfg.evaluation.name} ({cfg.evaluation.split})", point_of(folder))))
    console.print(results_table(scores, title=escape(title)))
    for table in vote_tables(scores):
        console.print(table)
    measured = of_scores(scores)
    print_tables(console, [table for table in (correlation_table(measured), jnd_table(measured)) if table is not None])
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
