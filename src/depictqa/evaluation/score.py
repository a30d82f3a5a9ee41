"""Results to figures. Nothing but results goes in, so that a run's files are enough to make its table again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from depictqa.evaluation.answerer import MODEL
from depictqa.evaluation.judgements import judge_figures
from depictqa.evaluation.just_noticeable import has_same_votes, same_figures
from depictqa.evaluation.opinions import has_opinions, opinion_figures
from depictqa.evaluation.reading import read_answer
from depictqa.evaluation.result import Result
from depictqa.evaluation.votes import has_scores, higher, vote_figures
from depictqa.metrics.accuracy import comparison_accuracy
from depictqa.metrics.bootstrap import HIGH, LOW
from depictqa.metrics.calibration import calibration_metrics
from depictqa.metrics.questionnaire import distortion_accuracy, field_accuracy
from depictqa.metrics.text import rouge_l, text_statistics
from depictqa.sample import Slot, Task

FULL, NONE = "full_reference", "no_reference"

SINGLE, SEVERAL, CLEAN = "single", "several", "clean"
"""Identifications of images with one distortion, with more, and with none, which have figures of their own."""

ERRORS = "num_errors"
"""Results without an answer: an image could not be read, a request failed. They are in `n`, and count as wrong."""

_OF_TARGETS = ("field_accuracy", "distortion_accuracy")

Scores = dict[tuple[str, str], dict[str, float]]
"""(benchmark, model) -> metric -> value."""


def score(results: Sequence[Result]) -> dict[str, float]:
    """Figures of one model on one benchmark: of all results, and apart as `full_reference/`, `no_reference/`.

    Pairs asked in the other order too count once; what they tell is among `vote_figures`, which are only apart: a
    triplet is asked about with and without its reference.
    """
    if has_opinions(results) or has_same_votes(results):
        return _score_opinions(results) | _errors(results)
    asked = [result for result in results if result.swap_of is None]
    metrics = _score_alike(asked) | _errors(results)
    for name, wanted in ((FULL, True), (NONE, False)):
        some = [result for result in asked if result.full_reference is wanted]
        votes = vote_figures([result for result in results if result.full_reference is wanted])
        metrics |= {f"{name}/{metric}": value for metric, value in (_score_alike(some) | votes).items()}
    return metrics


def _score_opinions(results: Sequence[Result]) -> dict[str, float]:
    """Where people scored images, or could not tell them apart, no answer is right or wrong."""
    metrics = {"n": float(sum(result.swap_of is None for result in results))} | same_figures(results)
    for name, wanted in ((FULL, True), (NONE, False)):
        some = [result for result in results if result.full_reference is wanted]
        if some:
            metrics[f"{name}/n"] = float(sum(result.swap_of is None for result in some))
            metrics |= {f"{name}/{metric}": value for metric, value in opinion_figures(some).items()}
    return metrics


def score_all(results: Iterable[Result]) -> Scores:
    """Results of any number of benchmarks and models; the model under test stands before baselines, the loss last."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.benchmark, result.model), []).append(result)
    order = sorted(groups, key=lambda group: (group[0] == "loss", group[0], group[1] != MODEL, group[1]))
    return {group: score(groups[group]) for group in order}


def _errors(results: Sequence[Result]) -> dict[str, float]:
    """Nothing where there are none."""
    number = sum(result.error is not None for result in results)
    return {ERRORS: float(number)} if number else {}


def flat_metrics(scores: Scores, prefix: str = "test") -> dict[str, float]:
    """`test/<benchmark>/<metric>` of the model under test, `test/<benchmark>/<model>/<metric>` of others."""
    flat: dict[str, float] = {}
    for (benchmark, model), metrics in scores.items():
        middle = benchmark if model == MODEL else f"{benchmark}/{model}"
        flat |= {f"{prefix}/{middle}/{metric}": value for metric, value in metrics.items()}
    return flat


def _score_alike(results: Sequence[Result]) -> dict[str, float]:
    """The figures that the results' task has. Several tasks on one benchmark give each its own, named by the
    task.
    """
    if not results:
        return {}
    tasks = {task: [r for r in results if r.task is task] for task in Task if any(r.task is task for r in results)}
    if any(result.loss is not None for result in results):
        known = {task: [r.loss for r in some if r.loss is not None] for task, some in tasks.items()}
        losses = [loss for some in known.values() for loss in some]
        by_task = {f"loss_{task}": _mean(some) for task, some in known.items() if some}
        return {"loss": _mean(losses), "n": float(len(losses)), **by_task}
    if len(tasks) == 1:
        return _score_task(*next(iter(tasks.items())))
    return {f"{task}/{name}": v for task, some in tasks.items() for name, v in _score_task(task, some).items()}


def _score_task(task: Task, results: Sequence[Result]) -> dict[str, float]:
    metrics: dict[str, float] = {"n": float(len(results))}
    if task in (Task.COMPARISON, Task.RATING):
        metrics |= _better(results)
    elif task is Task.CONTENT:
        metrics |= _content(results)
    else:
        metrics["share_parsed"] = sum(result.parsed is not None for result in results) / len(results)
        metrics |= _statements(results)
        metrics |= {f"target/{name}": v for name, v in _statements(_of_targets(results)).items() if name in _OF_TARGETS}
    if task not in (Task.COMPARISON, Task.RATING):
        metrics |= {f"text/{name}": value for name, value in text_statistics([r.prediction for r in results]).items()}
    if task is Task.IDENTIFICATION:
        metrics |= _by_number(results)
    if task is Task.REASONING:
        metrics |= {f"conclusion_{name}": v for name, v in _better(results).items()}
    metrics |= judge_figures(results)
    confidences = [result.confidence for result in results if result.confidence is not None]
    if confidences:
        metrics["mean_confidence"] = _mean(confidences)
    return metrics | {f"confidence/{name}": value for name, value in calibration_metrics(*confident(results)).items()}


def _content(results: Sequence[Result]) -> dict[str, float]:
    """ROUGE-L with the true texts; `rouge_l_chance` with those of the next sample, which has as much of their wording
    but not of their image."""
    known = [(result.prediction, result.target) for result in results if result.target]
    if not known:
        return {}
    said, true = [list(texts) for texts in zip(*known, strict=True)]
    figures = {"rouge_l": rouge_l(said, true)}
    return figures | ({"rouge_l_chance": rouge_l(said, [*true[1:], true[0]])} if len(known) > 1 else {})


def confident(results: Sequence[Result]) -> tuple[list[float], list[bool]]:
    """Confidences, and whether the answer is right: of the tasks whose answers are right or wrong as a whole, and of
    the answers that have a confidence. Pairs asked in the other order too count once."""
    judged = [(result.confidence, _is_right(result.task, result)) for result in results if result.swap_of is None]
    sure = [(confidence, right) for confidence, right in judged if confidence is not None and right is not None]
    return [confidence for confidence, _ in sure], [right for _, right in sure]


def _by_number(results: Sequence[Result]) -> dict[str, float]:
    """`<number>/...`: what is said of images with one distortion, several, none, as far as that is known."""
    groups: dict[str, list[Result]] = {SINGLE: [], SEVERAL: [], CLEAN: []}
    for result in results:
        if true := result.truth.get("distortions"):
            most = max(map(len, true.values()))
            groups[CLEAN if most == 0 else SINGLE if most == 1 else SEVERAL].append(result)
    figures: dict[str, float] = {}
    for name, some in groups.items():
        if some:
            figures |= {f"{name}/{figure}": value for figure, value in _statements(some).items()}
            figures[f"{name}/n"] = float(len(some))
    return figures


def _is_right(task: Task, result: Result) -> bool | None:
    if task in (Task.COMPARISON, Task.RATING) and "better" in result.truth:
        return (result.parsed or {}).get("better") == result.truth["better"]
    if task is Task.IDENTIFICATION and "distortions" in result.truth:
        true = {slot: {one["name"] for one in some} for slot, some in result.truth["distortions"].items()}
        return all(set(_stated(result, "distortions", slot) or ()) == names for slot, names in true.items())
    return None


def _better(results: Sequence[Result]) -> dict[str, float]:
    """Of the results whose truth knows the better image. `score_accuracy` goes by their scores (a model's A against B
    in logits), whatever the words say.
    """
    known = [result for result in results if "better" in result.truth]
    picked = [(result.parsed or {}).get("better") for result in known]
    metrics = comparison_accuracy(picked, [result.truth["better"] for result in known])
    scored = [result for result in known if has_scores(result)]
    if scored:
        picked = [higher(result) for result in scored]
        by_score = comparison_accuracy(picked, [result.truth["better"] for result in scored])
        metrics |= {f"score_accuracy{end}": by_score[f"accuracy{end}"] for end in ("", LOW, HIGH)}
    return metrics


def _statements(results: Sequence[Result]) -> dict[str, float]:
    """What is said of each image whose form or distortions are known."""
    forms, lists = [
        [(number, result, slot, true) for number, result in enumerate(results) for slot, true in of(result).items()]
        for of in (_true_forms, _true_distortions)
    ]
    return {
        **field_accuracy(
            [_stated(result, "fields", slot) for _, result, slot, _ in forms],
            [form for *_, form in forms],
            [number for number, *_ in forms],
        ),
        **distortion_accuracy(
            [_stated(result, "distortions", slot) for _, result, slot, _ in lists],
            [[distortion["name"] for distortion in true] for *_, true in lists],
            [number for number, *_ in lists],
        ),
    }


def _true_forms(result: Result) -> dict[str, Any]:
    return result.truth.get("questionnaires", {})


def _true_distortions(result: Result) -> dict[str, Any]:
    return result.truth.get("distortions", {})


def _of_targets(results: Sequence[Result]) -> list[Result]:
    """The results of one who gives the target texts themselves: what the parser reads in them bounds any
    model.
    """
    read = []
    for result in results:
        slots = [Slot(slot) for slot in result.truth.get("questionnaires", result.truth.get("distortions", {}))]
        parsed = read_answer(result.task, result.target, slots)[0] if slots else None
        read.append(replace(result, parsed=parsed))
    return read


def _stated(result: Result, part: str, slot: str) -> Any:
    return (result.parsed or {}).get(part, {}).get(slot)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
