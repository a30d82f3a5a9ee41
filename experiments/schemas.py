"""The shape of every configuration: one dataclass per config group, registered with Hydra's ConfigStore.

A key that is not here fails when the configuration is composed, with its name. Dataclasses of the library are used
as they are. Nothing here imports torch, so that `--help` and `--cfg job` answer at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from depictqa import official
from depictqa.models.config import ModelConfig
from depictqa.optim import OptimizerConfig
from depictqa.prompt import PromptStyle


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
class RepeatsConfig:
    """How often each source's samples are drawn in an epoch of `data=full_mix`."""

    templated: int = 1
    detailed: int = 20
    external: int = 2


@dataclass
class SyntheticConfig:
    """The embedded data, built on the spot: settings of `datamodules.sources.synthetic.build`, and a folder of
    `photos` of one's own."""

    photos: str | None = None
    seed: int = MISSING
    num_templated: int = MISSING
    num_identification: int = MISSING
    num_detailed: int = MISSING
    num_external: int = MISSING
    num_val: int = MISSING
    num_test: int = MISSING
    crop_size: int = MISSING
    vocab_size: int = MISSING
    functions_per_class: int = MISSING


@dataclass
class ScaleConfig:
    """What changes with the size of things; `synthetic` is null where the data are the user's. `language_models` are
    what `ablation=language_model` compares."""

    name: str = MISSING
    language_models: str = MISSING
    repeats: RepeatsConfig = field(default_factory=RepeatsConfig)
    synthetic: SyntheticConfig | None = None


@dataclass
class LoaderConfig:
    """What every data module takes. `batch_size` is samples an optimiser step, over all processes; `token_budget`
    tokens a micro-batch, padding included, which bounds memory; auto tries what fits. `packing`: none (a padded row for
    each sample), step (the step's samples end to end in one row) or window (full rows of `pack_length` tokens, null for
    one that fits `batch_size`; steps hold that many samples on average). `crop`: the random crop of training. `epochs`
    that the plan looks ahead to. `max_skipped`: the share of unreadable samples at which a run fails. `references`:
    what is trained on, all or only questions with, or without, a reference; content descriptions, which have none,
    always."""

    _target_: str = MISSING
    batch_size: int = 16
    token_budget: Any = 8192
    packing: str = "none"
    pack_length: int | None = None
    num_workers: int = 0
    seed: int = 131
    crop: bool = True
    epochs: int = 1
    max_skipped: float = 0.01
    pin_memory: bool | None = None
    references: str = "all"


@dataclass
class SourceConfig(LoaderConfig):
    """One source's shards, under `root`."""

    root: str = MISSING
    repeat: int = 1


@dataclass
class MixtureConfig(LoaderConfig):
    """Several sources, each repeated a whole number of times."""

    sources: dict[str, SourceConfig] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)


@dataclass
class EarlyStoppingConfig:
    """Stop after `patience` validations in a row without a gain of `min_delta` in `monitor`; null: never."""

    patience: int | None = None
    min_delta: float = 0.0
    monitor: str = "val/loss"


@dataclass
class Float8Config:
    """The language model's frozen weights in float8 while it trains (`depictqa.models.float8`), if `enabled`. What is
    saved knows nothing of it. Before training, the loss and the gradients of `samples` training samples are computed
    without and with it; a run where the loss changes by a larger share than `max_loss_change`, or gradients have a
    cosine below `min_cosine`, is refused."""

    enabled: bool = False
    samples: int = 16
    max_loss_change: float = 0.01
    min_cosine: float = 0.95


@dataclass
class TrainerConfig:
    """How training runs: on `devices` of each of `num_nodes`. `strategy`: one of Lightning's by name, or a `_target_`
    with its arguments. `precision` auto is bf16-mixed on a GPU that has it, else 32-true.

    `checkpoint_every` and `log_every` are in optimiser steps, `progress_every` in seconds. `num_examples` answers are
    generated at each validation. `keep`: which parameters become `model/`, "last" or "best" (by validation loss).
    `compile`: each decoder layer and block of the vision tower by torch.compile, for packed batches (`data.packing`).
    `recompute`: every n-th decoder layer's activations are computed again in the backward pass to save memory; null:
    none. `max_bad_steps`: steps whose loss or gradient is not finite that are skipped before a run stops. `spike`: a
    loss that many deviations above its running mean is written down; null: none.
    """

    accelerator: str = "auto"
    devices: Any = 1
    num_nodes: int = 1
    strategy: Any = "auto"
    precision: str = "auto"
    threads: int | None = None
    compile: bool = False
    recompute: int | None = None
    float8: Float8Config = field(default_factory=Float8Config)
    max_epochs: int = 1
    max_steps: int = -1
    gradient_clip: float = 1.0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validations_per_epoch: int = 4
    checkpoint_every: int = 200
    log_every: int = 10
    progress_every: float = 10.0
    num_examples: int = 4
    example_tokens: int = 120
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    keep: str = "last"
    max_bad_steps: int = 0
    spike: float | None = 6.0


@dataclass
class EvaluationConfig:
    """`benchmarks` is the dotted name of the function that makes them, of which split and how they are asked. `root` is
    a folder of shards, null for the run's own data. `swap`: each pair also with A and B exchanged. `limit` bounds each
    benchmark's samples with a reference, and those without.
    `sentence_model`: a folder, for the confidence of long answers. `results`: a finished run's folder, to make its
    table again."""

    name: str = MISSING
    benchmarks: str = MISSING
    root: str | None = None
    swap: bool = False
    split: str = "test"
    limit: int | None = None
    max_new_tokens: int = 400
    batch_size: int = 32
    sentence_model: str | None = None
    results: str | None = None


@dataclass
class RatedEvaluationConfig(EvaluationConfig):
    """Of images that people have scored, straight from a raw dataset (`source`). `num_references` and `num_images` of
    each bound it."""

    raw: str | None = None
    with_reference: bool = True
    without_reference: bool = True
    num_references: int | None = None
    num_images: int | None = None


@dataclass
class JustNoticeableConfig(EvaluationConfig):
    """Of BAPPS' just-noticeable differences, straight from its files; patches are scaled to `side` px."""

    raw: str | None = None
    subsets: list[str] = field(default_factory=list)
    side: int | None = None


@dataclass
class ScoreMetricConfig:
    """A row beside the model's: `depictqa.baselines.metric.ScoreMetric`. `batch_size` is images at once."""

    _target_: str = MISSING
    batch_size: int = 16
    accelerator: str = "${trainer.accelerator}"


@dataclass
class VisionLanguageConfig:
    """Another multimodal language model: settings of `depictqa.baselines.vision_language.VisionLanguage`. `path` is a
    folder or a hub id, `batch_size` samples at once."""

    _target_: str = "depictqa.baselines.vision_language.VisionLanguage"
    name: str = MISSING
    path: str | None = None
    layout: str = "interleaved"
    template: str | None = None
    max_new_tokens: int = "${evaluation.max_new_tokens}"  # type: ignore[assignment]
    batch_size: int = 8
    dtype: str = "auto"
    accelerator: str = "${trainer.accelerator}"
    group: str | None = None  # what messages call these options


@dataclass
class AnswersConfig:
    """Answers made elsewhere: `depictqa.baselines.answers.Answers`. `path` is a file of lines or a folder of them."""

    _target_: str = "depictqa.baselines.answers.Answers"
    name: str | None = None
    path: str | None = None
    group: str | None = None  # what messages call these options


@dataclass
class LoggerConfig:
    """Metrics go to `metrics.csv` always, and to W&B where `wandb` is on: offline unless there is a login.

    Keys and logins come from the environment alone: a configuration is stored in readable files.
    """

    wandb: bool = True
    project: str = "depictqa"
    group: str | None = None


@dataclass
class WriterConfig:
    """Who writes texts from questionnaires."""

    name: str = MISSING


@dataclass
class ChatConfig:
    """A model behind the chat-completions API: settings of `depictqa.chat.llm.Llm`.

    There is no field for a key: `key_variable` names the variable of the environment that holds it.
    """

    model: str | None = None
    base_url: str | None = None
    key_variable: str = MISSING
    temperature: float | None = None
    options: Any = None  # a mapping; typed as one, a command line could not fill it
    requests_per_minute: float | None = None
    num_parallel: int = MISSING
    timeout: float = MISSING
    max_retries: int = MISSING
    backoff: float = MISSING
    input_price: float | None = None
    output_price: float | None = None
    max_cost: float | None = None
    cache: str = MISSING


@dataclass
class LlmWriterConfig(ChatConfig, WriterConfig):
    """Its model, and a prompt for each task."""

    pool: str | None = None
    num_items: int = MISSING
    prompts: dict[str, str] = field(default_factory=dict)


@dataclass
class ApiConfig(ChatConfig):
    """Another multimodal language model behind an API: settings of `depictqa.baselines.api.ApiModel`."""

    _target_: str = "depictqa.baselines.api.ApiModel"
    _convert_: str = "all"  # options are sent as they are
    name: str | None = None
    layout: str = "interleaved"
    detail: str | None = None
    logprobs: bool = False
    group: str = "baseline.api"  # where these options stand, for messages


@dataclass
class JudgeConfig(ChatConfig):
    """A language model that grades texts: `protocol` is the dotted name of what is asked and how its grades count."""

    name: str = MISSING
    protocol: str = MISSING
    swap: bool = False
    prompt: str = MISSING


@dataclass
class PlanConfig:
    """What a plan supposes. `vision` and `language` name the architectures whose sizes count where the model's files
    are not here. `mfu`: the share of a GPU's peak rate that goes to what the model needs. `gpus`: how many. `price`: of
    a GPU and hour, by kind, such as {h100: 2.5}; there is none by default. `reserve_gb` of each GPU are not planned."""

    vision: str = "ViT-L-14"
    language: str = "llama-7b"
    mfu: float = 0.45
    gpus: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    price: Any = None  # a mapping; typed as one, a command line could not fill it
    reserve_gb: float = 2.0


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
    """Makes the schemas known to Hydra, and the resolvers that name folders: `run_dir`, `sweep_dir`, `variant`."""
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
    store.store(group="model/prompt", name="short", node=PromptStyle)
    store.store(group="model/prompt", name="released", node=official.style())
    OmegaConf.register_new_resolver("run_dir", _run_dir, replace=True)
    OmegaConf.register_new_resolver("sweep_dir", _sweep_dir, replace=True)
    OmegaConf.register_new_resolver("variant", _variant, replace=True)


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


register()
