"""Who is asked: the model under test, then the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from depictqa.evaluation.answerer import MODEL, Answerer, ModelAnswerer
from depictqa.sentence_embedding import SentenceEmbedder
from experiments.checks import check_accelerator

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA


def open_others(cfg: DictConfig) -> list[Answerer]:
    """A model under test that is none of ours, then the baselines, once all their weights are there:
    FileNotFoundError names those that are not. One that has a `check` looks for its own model or file.

    They are light: each opens its model at its first question. ValueError where there is nobody, and no DepictQA.
    """
    _check_accelerators(cfg, "model_under_test", "baseline")
    if not (cfg.model_under_test or cfg.baseline):
        raise ValueError("there is nobody to ask; choose model_under_test=depictqa, or baseline=psnr, or others")
    return open_all([*_under_test(cfg), *(cfg.baseline or {}).values()])


def open_baselines(cfg: DictConfig) -> list[Answerer]:
    """Those alone, as beside a model that was just trained."""
    _check_accelerators(cfg, "baseline")
    return open_all(list((cfg.baseline or {}).values()))


def open_all(options: Sequence[Any]) -> list[Answerer]:
    """In their order. ValueError where two have one name, by which results are told apart."""
    from depictqa.baselines.weights import fetch

    answerers: list[Answerer] = [instantiate(one) for one in options]
    fetch(weights for answerer in answerers for weights in getattr(answerer, "weights", ()))
    names: set[str] = set()
    for answerer in answerers:
        if hasattr(answerer, "check"):
            answerer.check()
        if answerer.name in names or answerer.name == MODEL:
            raise ValueError(f"two answerers are called '{answerer.name}'; give one another name (baseline.NAME.name)")
        names.add(answerer.name)
    return answerers


def asks_ours(cfg: DictConfig) -> bool:
    """Whether the model under test is a DepictQA (`checkpoint=`)."""
    return MODEL in (cfg.model_under_test or {})


def our_answerer(model: DepictQA, cfg: DictConfig) -> ModelAnswerer:
    options = cfg.evaluation
    return ModelAnswerer(model, options.max_new_tokens, options.batch_size, embed=sentence_embedder(cfg))


def sentence_embedder(cfg: DictConfig) -> SentenceEmbedder | None:
    """For the confidence of long answers, where `evaluation.sentence_model` names one."""
    folder = cfg.evaluation.sentence_model
    return SentenceEmbedder(Path(folder)) if folder else None


def _check_accelerators(cfg: DictConfig, *groups: str) -> None:
    for group in groups:
        for name, options in (cfg[group] or {}).items():
            if options.get("accelerator") is not None:
                check_accelerator(options.accelerator, f"{group}.{name}.accelerator")


def _under_test(cfg: DictConfig) -> list[Any]:
    return [options for name, options in (cfg.model_under_test or {}).items() if name != MODEL]
