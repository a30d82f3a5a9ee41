"""What is asked, and who answers beside the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class EvaluationConfig:
    """`benchmarks` is the dotted name of the function that makes them, of which split and how they are asked. `root` is
    a folder of shards, null for the run's own data. `swap`: each pair also with A and B exchanged. `limit` bounds each
    benchmark's samples with a reference, and those without. `tasks` are those of `held_out` that are asked.
    `sentence_model`: a folder, for the confidence of long answers. `results`: a finished run's folder, to make its
    table again."""

    name: str = MISSING
    benchmarks: str = MISSING
    root: str | None = None
    swap: bool = False
    split: str = "test"
    limit: int | None = None
    tasks: list[str] | None = None
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
