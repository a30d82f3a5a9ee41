"""The shape of every configuration: one dataclass per config group, registered with Hydra's ConfigStore.

A key that is not here fails when the configuration is composed, with its name. Dataclasses of the library are used
as they are. Nothing here imports torch, so that `--help` and `--cfg job` answer at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from depictqa import official
from depictqa.models.config import ModelConfig
from depictqa.prompt import PromptStyle
from experiments.schemas.chat import ApiConfig, JudgeConfig, LlmWriterConfig, WriterConfig
from experiments.schemas.data import LoaderConfig, MixtureConfig, ScaleConfig, SourceConfig
from experiments.schemas.evaluation import (
    AnswersConfig,
    EvaluationConfig,
    JustNoticeableConfig,
    RatedEvaluationConfig,
    ScoreMetricConfig,
    VisionLanguageConfig,
)
from experiments.schemas.training import PlanConfig, TrainerConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
PROMPT = "model/prompt"
"""A group without files: its options are the library's."""


@dataclass
class ProgramConfig:
    """Which program: `run` is the dotted name of its function."""

    name: str = MISSING
    run: str = MISSING


@dataclass
class PathsConfig:
    """Folders, relative to where the command is given."""

    data: str = MISSING
    weights: str = MISSING
    runs: str = MISSING


@dataclass
class LoggerConfig:
    """Metrics go to `metrics.csv` always, and to W&B where `wandb` is on: offline unless there is a login.

    Keys and logins come from the environment alone: a configuration is stored in readable files.
    """

    wandb: bool = True
    project: str = "depictqa"
    group: str | None = None


@dataclass
class RunConfig:
    """The top level. The keys after `seed` are the programs' own: what a person types."""

    program: ProgramConfig = field(default_factory=ProgramConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: LoaderConfig = field(default_factory=LoaderConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    model_under_test: dict[str, Any] = field(default_factory=dict)  # whom an evaluation is about, by name
    baseline: dict[str, Any] = field(default_factory=dict)  # what stands beside the model's comparisons, by name
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    writer: WriterConfig = field(default_factory=WriterConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    name: str = MISSING
    seed: int = 131
    photos: str | None = None  # a folder for scale=tiny to make its data from, in place of the embedded ones
    # train, evaluate
    resume: str | None = None  # a run's folder; with -m a sweep's
    objective: str | None = None  # the figure of metrics.json that a sweeper which searches is given, such as Optuna's
    # evaluate, assess
    checkpoint: str | None = None  # a saved model's folder, a run's folder, or a released ckpt.pt
    path: str | None = None  # of baseline=answers: a file or folder; of baseline=transformers: a folder or a hub id
    # report, judge
    runs: Any = None  # folders of runs, one or a list: all results/*.jsonl in them, at any depth
    # assess
    image: str | None = None
    reference: str | None = None
    other: str | None = None
    question: str | None = None
    format: str = "text"
    # build, write, questions, plan, report (a folder; `report` in the first of `runs`), and the pages
    source: Any = None  # an option of the group `source`: a function and its options
    raw: str | None = None
    out: str | None = None
    pools: list[str] = field(default_factory=list)  # reviewed YAML files whose wordings are added
    check: str | None = None  # a folder of shards to be looked at
    sheet: str | None = None  # a photo to be shown with all distortions
    num_workers: int | None = None  # processes that make records; one for each core
    baked: bool = False  # store images scaled as the model scales them anyway (model.image): less to read and to do
    compressed: bool = True  # false: images that are read several times as fast and take more room
    max_rejected: float = 0.01  # share of records that may be set apart as unfit before a build stops
    # annotate, revise
    annotator: str | None = None  # your name, as it will stand in the data
    port: int = 7860
    annotations: str | None = None  # what drafts were written from
    images: str | None = None  # the folder of their images, where that is not the annotations' own


def register() -> None:
    """Makes the schemas known to Hydra, and the resolvers that name folders, `run_dir`, `sweep_dir` and `variant`, and
    `groups`, which lists the options of groups."""
    store = ConfigStore.instance()
    store.store(name="run_schema", node=RunConfig)
    store.store(group="schema/data", name="source", node=SourceConfig)
    store.store(group="schema/data", name="mixture", node=MixtureConfig)
    store.store(group="schema/evaluation", name="rated", node=RatedEvaluationConfig)
    store.store(group="schema/evaluation", name="just_noticeable", node=JustNoticeableConfig)
    store.store(group="schema/baseline", name="metric", node=ScoreMetricConfig)
    store.store(group="schema/baseline", name="vision_language", node=VisionLanguageConfig)
    store.store(group="schema/baseline", name="answers", node=AnswersConfig)
    store.store(group="schema/baseline", name="api", node=ApiConfig)
    store.store(group="schema/judge", name="judge", node=JudgeConfig)
    store.store(group="schema/writer", name="rule", node=WriterConfig)
    store.store(group="schema/writer", name="llm", node=LlmWriterConfig)
    store.store(group=PROMPT, name="short", node=PromptStyle)
    store.store(group=PROMPT, name="released", node=official.style())
    OmegaConf.register_new_resolver("run_dir", _run_dir, replace=True)
    OmegaConf.register_new_resolver("sweep_dir", _sweep_dir, replace=True)
    OmegaConf.register_new_resolver("variant", _variant, replace=True)
    OmegaConf.register_new_resolver("groups", _groups, replace=True)


def _run_dir(resume: str | None, new: str) -> str:
    """None is made for a run that is resumed: it has one."""
    return "." if resume is not None else new


def _sweep_dir(resume: str | None, new: str) -> str:
    return new if resume is None else resume


def _variant(options: DictConfig | None) -> str:
    """`-1a2b3c4d` for these options of the embedded data, so that runs with others do not share a folder."""
    if options is None:
        return ""
    text = json.dumps(OmegaConf.to_container(options, resolve=True), sort_keys=True)
    return f"-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _groups() -> str:
    """`group: option, option` in lines, without the schemas, which nobody types."""
    options = {PROMPT: {Path(name).stem for name in ConfigStore.instance().list(PROMPT)}}
    for path in CONF.glob("*/**/*.yaml"):
        options.setdefault(path.parent.relative_to(CONF).as_posix(), set()).add(path.stem)
    return "\n".join(f"{group}: {', '.join(sorted(options[group]))}" for group in sorted(options))


register()
