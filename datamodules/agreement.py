"""How far annotators agree beyond chance, per field of the questionnaire and about which image is better.

Cohen's kappa for two annotators, Fleiss' for more, both for categories without order: between undistorted and severe
is as far as between mild and severe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from sklearn.metrics import cohen_kappa_score

from datamodules.annotations import EQUAL, FACTORS, Annotation
from depictqa.questionnaire import FIELDS

FORM_FIELDS = ("texture", "texture_damage", *FIELDS, "overall")
"""What is asked of each image; the images of a pair count as two of a field's cases."""


@dataclass(frozen=True)
class Agreement:
    """Of one field. `num_cases` are those that all annotators answered; `share` is the mean share of pairs of
    annotators who say the same; `kappa` is None where all say the same everywhere: then there is no chance to correct
    for."""

    field: str
    num_cases: int
    share: float
    kappa: float | None


def agreement(annotations: Iterable[Annotation]) -> tuple[tuple[str, ...], list[Agreement]]:
    """The annotators, and the agreement of each field that all of them answered somewhere.

    ValueError where there is one annotator, or where no item was annotated by all.
    """
    answers: dict[str, dict[Hashable, dict[str, str]]] = {}
    annotators = set()
    for annotation in annotations:
        annotators.add(annotation.annotator)
        for field, case, answer in _answers(annotation):
            answers.setdefault(field, {}).setdefault(case, {})[annotation.annotator] = answer
    names = tuple(sorted(annotators))
    if len(names) < 2:
        raise ValueError(f"agreement needs two annotators or more; these are by {', '.join(names) or 'nobody'}")
    found = []
    for field, cases in answers.items():
        ratings = [[by[name] for name in names] for by in cases.values() if len(by) == len(names)]
        if ratings:
            found.append(_agreement(field, ratings))
    if not found:
        raise ValueError(f"no item was annotated by all of {', '.join(names)}; agreement needs the same items")
    return names, found


def cohen_kappa(ratings: Sequence[tuple[str, str] | Sequence[str]]) -> float | None:
    """Cohen (1960), https://doi.org/10.1177/001316446002000104. Ratings are (first, second) of each case."""
    first, second = zip(*ratings, strict=True)
    return None if len({*first, *second}) == 1 else float(cohen_kappa_score(first, second))


def fleiss_kappa(ratings: Sequence[Sequence[str]]) -> float | None:
    """Fleiss (1971), https://doi.org/10.1037/h0031619, eqs. 1-8. Ratings are as many in each case."""
    num_raters = len(ratings[0])
    counts = [Counter(case) for case in ratings]
    totals = sum(counts, Counter())
    if len(totals) == 1:
        return None
    observed = sum(_share(case) for case in ratings) / len(ratings)
    expected = sum((total / (len(ratings) * num_raters)) ** 2 for total in totals.values())
    return (observed - expected) / (1 - expected)


def _agreement(field: str, ratings: Sequence[Sequence[str]]) -> Agreement:
    kappa = cohen_kappa(ratings) if len(ratings[0]) == 2 else fleiss_kappa(ratings)
    return Agreement(field, len(ratings), sum(map(_share, ratings)) / len(ratings), kappa)


def _share(case: Sequence[str]) -> float:
    """Of the pairs of raters, those that say the same."""
    pairs = list(combinations(case, 2))
    return sum(one == other for one, other in pairs) / len(pairs)


def _answers(annotation: Annotation) -> Iterable[tuple[str, Hashable, str]]:
    """(field, case, answer), fields in the form's order."""
    forms: Mapping[str, dict] = {str(slot): form.to_dict() for slot, form in annotation.forms.items()}
    for field in FORM_FIELDS:
        for slot, form in forms.items():
            if field in form:
                yield field, (annotation.key, slot), form[field]
    for field in FACTORS:
        if field in annotation.better_by_field:
            yield f"better in {field}", annotation.key, str(annotation.better_by_field[field] or EQUAL)
    if annotation.better is not None:
        yield "better", annotation.key, str(annotation.better)
