"""Do an image's scores follow people's? Rank and linear correlation with mean opinion scores (MOS).

Larger is better on both sides: turn difference scores (DMOS) and distances round before they come here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import pearsonr, spearmanr

Floats = NDArray[np.float64]

MIN_FIT = 5
"""Images below which four parameters are not fitted: they would pass through every point."""


_BOUNDS = ((-20.0, -7.0), (20.0, 3.0))
"""Of middle and log width, in standard deviations of the scores."""


@dataclass(frozen=True)
class LogisticFit:
    """`betas` are those of `logistic` in the units of the data, or None where nothing could be fitted and `values`
    are the scores themselves; `note` says why."""

    values: Floats  # [N]
    betas: tuple[float, float, float, float] | None = None
    note: str | None = None

    @property
    def falls(self) -> bool:
        return self.betas is not None and self.betas[0] < self.betas[1]


@dataclass(frozen=True)
class Correlation:
    """In -1..1 over `n` images. `plcc` is after the logistic fit, `plcc_linear` of the scores as they are."""

    srcc: float
    plcc: float
    plcc_linear: float
    n: int
    note: str | None = None


@dataclass(frozen=True)
class ByReference:
    """`whole`: over all images at once. `references`: apart. Their plain mean is another, mostly higher, figure."""

    whole: Correlation
    references: dict[Hashable, Correlation]
    notes: tuple[str, ...] = ()

    def figures(self) -> dict[str, float]:
        """Flat: `srcc`, `plcc`, `plcc_linear`, `n` of the whole set; `per_reference/...` the means over the references
        that have a correlation, with their number `per_reference/n`."""
        names = ("srcc", "plcc", "plcc_linear")
        figures = {name: getattr(self.whole, name) for name in names} | {"n": float(self.whole.n)}
        if self.references:
            for name in names:
                each = [getattr(one, name) for one in self.references.values()]
                figures[f"per_reference/{name}"] = sum(each) / len(each)
        return figures | {"per_reference/n": float(len(self.references))}


def logistic(x: ArrayLike, beta1: float, beta2: float, beta3: float, beta4: float) -> Floats:
    """`beta2 + (beta1 - beta2) / (1 + exp(-(x - beta3) / |beta4|))`: VQEG, Final Report on the Validation of Objective
    Models of Video Quality Assessment, Phase I, 2000."""
    return beta2 + (beta1 - beta2) * expit((np.asarray(x, dtype=np.float64) - beta3) / abs(beta4))


def fit_logistic(scores: ArrayLike, mos: ArrayLike) -> LogisticFit:
    """The least-squares logistic curve from scores to MOS.

    For a given middle and width the other two parameters are a linear regression, so only those two are searched for
    (variable projection: Golub and Pereyra 1973), from the best of a grid, on standardised data and within wide bounds:
    straight data end in a long, nearly straight piece of the curve instead of running off. As that piece is in the
    family, a fit that correlates less than the scores themselves has not converged, and is dropped.
    """
    x, y = _checked(scores, mos)
    if len(x) < MIN_FIT:
        return LogisticFit(x, note=f"no logistic fit on {len(x)} images (needs {MIN_FIT}): linear correlation")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return LogisticFit(x, note="no logistic fit: all scores, or all MOS, are equal")
    u, v = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    found = least_squares(lambda p: _line(u, v, p)[2], _start(u, v), bounds=_BOUNDS, x_scale=(1, 0.5), max_nfev=500)
    low, rise, _ = _line(u, v, found.x)
    beta2 = y.mean() + y.std() * low
    beta3, beta4 = x.mean() + x.std() * found.x[0], x.std() * np.exp(found.x[1])
    betas = (float(beta2 + y.std() * rise), float(beta2), float(beta3), float(beta4))
    values = logistic(x, *betas)
    if found.success and np.ptp(values) > 0 and pearsonr(values, y)[0] >= abs(pearsonr(x, y)[0]) - 1e-3:
        return LogisticFit(values, betas)
    return LogisticFit(x, note="the logistic fit did not converge: linear correlation")


def correlate(scores: ArrayLike, mos: ArrayLike) -> Correlation:
    """SRCC, and PLCC after the logistic fit.

    The fit may fall: PLCC is then negative, for otherwise a metric that is the wrong way round would look as good as
    one that is right. Equal scores everywhere order nothing and correlate 0. ValueError where all MOS are equal.
    """
    x, y = _checked(scores, mos)
    if len(x) < 2 or np.ptp(y) == 0:
        raise ValueError(f"correlation needs two different MOS or more, got {len(set(y.tolist()))} in {len(y)} images")
    if np.ptp(x) == 0:
        return Correlation(0.0, 0.0, 0.0, len(x), "all scores are equal: counted as no correlation")
    fit = fit_logistic(x, y)
    plcc = float(pearsonr(fit.values, y)[0])
    return Correlation(
        float(spearmanr(x, y)[0]), -plcc if fit.falls else plcc, float(pearsonr(x, y)[0]), len(x), fit.note
    )


def correlate_by_reference(scores: ArrayLike, mos: ArrayLike, references: Sequence[Hashable]) -> ByReference:
    """Over the whole set, and for each reference's images apart (`references` names each image's).

    A reference with one image or equal MOS has no correlation: it is left out and named in the notes.
    """
    x, y = _checked(scores, mos)
    if len(references) != len(x):
        raise ValueError(f"{len(x)} scores, but {len(references)} references; give one for each image")
    groups: dict[Hashable, list[int]] = {}
    for index, reference in enumerate(references):
        groups.setdefault(reference, []).append(index)
    whole = correlate(x, y)
    notes = [f"whole set: {whole.note}"] if whole.note else []
    found: dict[Hashable, Correlation] = {}
    for reference, indices in groups.items():
        if len(indices) < 2 or np.ptp(y[indices]) == 0:
            notes.append(f"{reference}: left out, its {len(indices)} images have no two different MOS")
            continue
        found[reference] = correlate(x[indices], y[indices])
        if note := found[reference].note:
            notes.append(f"{reference}: {note}")
    return ByReference(whole, found, tuple(notes))


def _start(u: Floats, v: Floats) -> tuple[float, float]:
    """(middle, log width): the best of a coarse grid."""
    grid = [
        (float(middle), log_width)
        for middle in np.clip(np.quantile(u, [0.1, 0.25, 0.5, 0.75, 0.9]), -19, 19)
        for log_width in np.log([0.05, 0.25, 1.0, 5.0]).tolist()
    ]
    return min(grid, key=lambda p: float(np.square(_line(u, v, p)[2]).sum()))


def _line(u: Floats, v: Floats, p: Sequence[float] | Floats) -> tuple[float, float, Floats]:
    """Of the curve with middle and log width `p`: low end and rise by linear regression, and the residuals [N]."""
    part = expit((u - p[0]) / np.exp(p[1]))
    centred = part - part.mean()
    spread = centred @ centred
    rise = float(centred @ v / spread) if spread > 1e-20 else 0.0
    return float(v.mean() - rise * part.mean()), rise, rise * centred - (v - v.mean())


def _checked(scores: ArrayLike, mos: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(mos, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"scores and MOS must be two lists of one length, got shapes {x.shape} and {y.shape}")
    for name, values in (("score", x), ("MOS", y)):
        if not np.isfinite(values).all():
            index = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{name} {index} is {values[index]}; leave out images without a finite one")
    return x, y
