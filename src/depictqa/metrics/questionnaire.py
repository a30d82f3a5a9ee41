"""Is what a text says of an image true? Its questionnaire fields and named distortions against the known
ones.

Forms are plain mappings field -> level (both words of `depictqa.questionnaire`), distortions sets of class
names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np

from depictqa.metrics.bootstrap import COUNT, HIGH, LOW, share_interval
from depictqa.questionnaire import FIELDS

ASKED = (*FIELDS, "overall", "texture_damage")
"""What is scored. The category of texture is not: the parser does not read it."""


def field_accuracy(
    stated: Sequence[Mapping[str, str] | None],
    truth: Sequence[Mapping[str, str]],
    answers: Sequence[Hashable] | None = None,
) -> dict[str, float]:
    """Share of images whose field is stated as it is, per field and as their mean `field_accuracy`.

    A field that the text leaves open (or all of them: None) is wrong; one that the truth leaves open is not
    asked. `field_accuracy_constant` is what the mean would be for a text that always states each field's most
    frequent true level: most fields of most images are undistorted, so that is the figure to beat, not 1/3.

    `field_accuracy_low` and `_high` are the ends of its 95 % bootstrap interval over answers, `_n` their number;
    `answers` says which images one answer speaks of, else each is alone.
    """
    assert len(stated) == len(truth), (len(stated), len(truth))
    metrics: dict[str, float] = {}
    constant: list[float] = []
    points = []
    for name in ASKED:
        asked = [(form or {}, true[name]) for form, true in zip(stated, truth, strict=True) if name in true]
        if asked:
            metrics[f"field/{name}"] = sum(form.get(name) == level for form, level in asked) / len(asked)
            points.append([_point(form, true, name) for form, true in zip(stated, truth, strict=True)])
            constant.append(Counter(level for _, level in asked).most_common(1)[0][1] / len(asked))
    if metrics:
        metrics["field_accuracy"] = sum(metrics.values()) / len(metrics)
        metrics |= _interval("field_accuracy", points, answers)
        metrics["field_accuracy_constant"] = sum(constant) / len(constant)
    return metrics


def distortion_accuracy(
    named: Sequence[Collection[str] | None],
    truth: Sequence[Collection[str]],
    answers: Sequence[Hashable] | None = None,
) -> dict[str, float]:
    """Are an image's distortions named, and no others?

    `distortion_accuracy`: share of distorted images whose set of names is exactly the true one (chance for
    one distortion of 12 classes: 1/12). `distortion_overlap`: mean of `|named and true| / max(|named|,
    |true|)` over the same images, DepictQA-v2's accuracy for several distortions. `clean_accuracy`: share of
    undistorted images of which none is named. `distortion_f1`: F1 of each class that is true or named
    anywhere, averaged over classes. None (a text that could not be parsed) names nothing, and is wrong for
    clean images too. The first three have their intervals and numbers as `field_accuracy` has.
    """
    assert len(named) == len(truth), (len(named), len(truth))
    said = [(n, set(n or ()), set(t)) for n, t in zip(named, truth, strict=True)]
    points = {
        "distortion_accuracy": [float(n == t) if t else None for _, n, t in said],
        "distortion_overlap": [len(n & t) / max(len(n), len(t)) if t else None for _, n, t in said],
        "clean_accuracy": [None if t else float(known is not None and not n) for known, n, t in said],
    }
    metrics: dict[str, float] = {}
    for name, each in points.items():
        asked = [one for one in each if one is not None]
        if asked:
            metrics |= {name: sum(asked) / len(asked), **_interval(name, [each], answers)}
    if by_class := f1_by_class(named, truth):
        metrics["distortion_f1"] = sum(by_class.values()) / len(by_class)
    return metrics


def f1_by_class(named: Sequence[Collection[str] | None], truth: Sequence[Collection[str]]) -> dict[str, float]:
    """`2 TP / (2 TP + FP + FN)` of each class that is true or named for some image."""
    hits: Counter[str] = Counter()
    misses: Counter[str] = Counter()  # false positives and false negatives: F1 weighs them alike
    for names, true in zip(named, truth, strict=True):
        hits.update(set(names or ()) & set(true))
        misses.update(set(names or ()) ^ set(true))
    return {name: 2 * hits[name] / (2 * hits[name] + misses[name]) for name in sorted(hits | misses)}


def _point(stated: Mapping[str, str] | None, true: Mapping[str, str], name: str) -> float | None:
    return float((stated or {}).get(name) == true[name]) if name in true else None


def _interval(
    name: str, points: Sequence[Sequence[float | None]], answers: Sequence[Hashable] | None
) -> dict[str, float]:
    """Of the mean of each row's mean: rows are kinds of question, columns images, None where nothing is asked. Images
    of one answer are drawn together."""
    found = np.array([[np.nan if one is None else one for one in row] for row in points])
    number = {answer: place for place, answer in enumerate(dict.fromkeys(answers or range(found.shape[1])))}
    place = [number[answer] for answer in answers or range(found.shape[1])]
    right, asked = np.zeros((2, len(number), len(points)))
    np.add.at(right, place, np.nan_to_num(found).T)
    np.add.at(asked, place, ~np.isnan(found).T)
    low, high = share_interval(right, asked)
    return {f"{name}{LOW}": low, f"{name}{HIGH}": high, f"{name}{COUNT}": float((asked.sum(axis=1) > 0).sum())}
