"""Score metrics from pyiqa: WaDIQaM-FR (DeepIQA), and without a reference NIQE, MUSIQ and MANIQA.

pyiqa's licence is PolyForm Noncommercial 1.0.0, so it is an extra, and is imported by nothing but these functions.
Weights are read by ours (`weights_only`), as pyiqa's own reading would run code from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from depictqa.baselines.metric import Measure, ScoreMetric
from depictqa.baselines.weights import Weights, load_state, read_state

LICENCE = "PolyForm Noncommercial 1.0.0: not for commercial use"


def deepiqa(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Bosse et al. 2018, weighted patches of 32 pixels, trained on KADID-10k; higher is better."""
    _require_pyiqa("deepiqa")
    from pyiqa.archs.wadiqam_arch import default_model_urls

    weights = Weights("DeepIQA (WaDIQaM-FR)", default_model_urls["wadiqam_fr_kadid"], "pyiqa")

    def load() -> Measure:
        metric = _network("wadiqam_fr", weights, part="params")
        return _AllPatches(metric)

    return _metric("deepiqa", load, weights, batch_size, accelerator, needs_reference=True, min_side=32)


def niqe(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Mittal et al. 2013; lower is better. Its blocks are 96 pixels: a smaller image has none, one below 192
    only a few, and the covariance of one is zero."""
    _require_pyiqa("niqe")
    from pyiqa.archs.niqe_arch import default_model_urls

    weights = Weights("NIQE", default_model_urls["niqe"], "pyiqa")

    def load() -> Measure:
        return _create("niqe", pretrained_model_path=str(weights.path))

    return _metric("niqe", load, weights, batch_size, accelerator, lower_is_better=True, min_side=96)


def musiq(batch_size: int = 8, accelerator: str = "auto") -> ScoreMetric:
    """Ke et al. 2021, trained on KonIQ-10k, on three scales; higher is better."""
    _require_pyiqa("musiq")
    from pyiqa.archs.musiq_arch import default_model_urls

    weights = Weights("MUSIQ", default_model_urls["koniq10k"], "pyiqa")
    return _metric("musiq", lambda: _network("musiq", weights), weights, batch_size, accelerator)


def maniqa(batch_size: int = 1, accelerator: str = "auto", num_crops: int = 20) -> ScoreMetric:
    """Yang et al. 2022, trained on KonIQ-10k; higher is better. The mean over `num_crops` crops of 224 pixels in a
    grid, at once; smaller images are enlarged to 225.
    """
    _require_pyiqa("maniqa")
    from pyiqa.archs.maniqa_arch import default_model_urls

    weights = Weights("MANIQA", default_model_urls["koniq"], "pyiqa")

    def load() -> Measure:
        with _no_second_download():
            return _network("maniqa", weights, test_sample=num_crops)

    return _metric("maniqa", load, weights, batch_size, accelerator)


class _AllPatches(nn.Module):
    """pyiqa's WaDIQaM takes the patches that start before `side - 32`, which leaves out the last row and column of a
    side that is a multiple of 32 (three of four patches at 64 pixels). One more pixel, itself in no patch, brings
    them in.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, references: Tensor) -> Tensor:
        return self.net(*(nn.functional.pad(batch, (0, 1, 0, 1)) for batch in (images, references)))


def _metric(
    name: str,
    load: Callable[[], Measure],
    weights: Weights,
    batch_size: int,
    accelerator: str,
    needs_reference: bool = False,
    **rest: Any,
) -> ScoreMetric:
    return ScoreMetric(
        name, load, needs_reference=needs_reference, weights=(weights,),
        batch_size=batch_size, accelerator=accelerator, **rest,
    )  # fmt: skip


def _require_pyiqa(name: str) -> None:
    if find_spec("pyiqa") is None:
        raise ValueError(f"baseline {name} needs pyiqa, which is not installed ({LICENCE}): uv sync --extra pyiqa")


def _create(name: str, **options: Any) -> nn.Module:
    import pyiqa

    return pyiqa.create_metric(name, device="cpu", **options)


def _network(name: str, weights: Weights, part: str | None = None, **options: Any) -> nn.Module:
    """`part` of the file is the state dict, if not all of it."""
    from pyiqa.archs.arch_util import clean_state_dict

    state = read_state(weights.path)
    metric = _create(name, pretrained=False, **options)
    load_state(metric.get_submodule("net"), clean_state_dict(state.get(part, state) if part else state), weights.path)
    return metric


@contextmanager
def _no_second_download() -> Iterator[None]:
    """pyiqa's MANIQA asks timm for a pretrained ViT, whose weights its own then replace: left unfetched."""
    import timm

    create_model = timm.create_model
    timm.create_model = lambda name, pretrained=False, **rest: create_model(name, pretrained=False, **rest)
    try:
        yield
    finally:
        timm.create_model = create_model
