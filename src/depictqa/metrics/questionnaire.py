"""Is what a text says of an image true? Its questionnaire fields and named distortions against the known
ones.

Forms are plain mappings field -> level (both words of `depictqa.questionnaire`), distortions sets of class
names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from depictqa.questionnaire import FIELDS

ASKED = (*FIELDS, "overall", "texture_damage")
"""What is scored. The category of texture is not: the parser does not read it."""


def field_accuracy(stated: Sequence[Mapping[str, str] | None], truth: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Share of images whose field is stated as it is, per field and as their mean `field_accuracy`.

    A field that the text leaves open (or all of them: None) is wrong; one that the truth leaves open is not
    asked. `field_accuracy_constant` is what the mean would be for a text that always states each field's most
    frequent true level: most fields of most images are undistorted, so that is the figure to beat, not 1/3.
    """
    assert len(stated) == len(truth), (len(stated), len(truth))
    metrics: dict[str, float] = {}
    constant = []
    for name in ASKED:
        asked = [(form or {}, true[name]) for form, true in zip(stated, truth, strict=True) if name in true]
        if asked:
            metrics[f"field/{name}"] = sum(form.get(name) == level for form, level in asked) / len(asked)
            constant.append(Counter(level for _, level in asked).most_common(1)[0][1] / len(asked))
    if metrics:
        metrics["field_accuracy"] = sum(metrics.values()) / len(metrics)
        metrics["field_accuracy_constant"] = sum(constant) / len(constant)
    return metrics


def distortion_accuracy(named: Sequence[Collection[str] | None], truth: Sequence[Collection[str]]) -> dict[str, float]:
    """Are an image's distortions named, and no others?

    `distortion_accuracy`: share of distorted images whose set of names is exactly the true one (chance for
    one distortion of 12 classes: 1/12). `distortion_overlap`: mean of `|named and true| / max(|named|,
    |true|)` over the same images, DepictQA-v2's accuracy for several distortions. `clean_accuracy`: share of
    undistorted images of which none is named. `distortion_f1`: F1 of each class that is true or named
    anywhere, averaged over classes. None (a text that could not be parsed) names nothing, and is wrong for
    clean images too.
    """
    assert len(named) == len(truth), (len(named), len(truth))
    distorted = [(set(n or ()), set(t)) for n, t in zip(named, truth, strict=True) if t]
    clean = [n for n, t in zip(named, truth, strict=True) if not t]
    metrics: dict[str, float] = {}
    if distorted:
        metrics["distortion_accuracy"] = sum(n == t for n, t in distorted) / len(distorted)
        overlap = sum(len(n & t) / max(len(n), len(t)) for n, t in distorted)
        metrics["distortion_overlap"] = overlap / len(distorted)
    if clean:
        metrics["clean_accuracy"] = sum(n is not None and not n for n in clean) / len(clean)
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
