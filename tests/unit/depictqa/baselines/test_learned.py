"""LPIPS, DISTS and PieAPP with random weights in the files that the libraries read, against the libraries."""

from __future__ import annotations

import numpy as np
import piq
import pytest
import torch
import torchvision
from piq.pieapp import PieAPPModel
from torchmetrics.functional.image import (
    deep_image_structure_and_texture_similarity,
    learned_perceptual_image_patch_similarity,
)

from depictqa.baselines.learned import dists, lpips, pieapp

SIZE = (80, 72)


@pytest.fixture
def ready(cache, put, random_state, noisy):
    """A metric whose weights are there, and three images with their references."""

    def make(constructor):
        if constructor is pieapp:
            state = random_state(PieAPPModel())
            state["ref_score_subtract.weight"] = state["ref_score_subtract.weight"].squeeze(1).abs()  # as published
        else:
            with torch.device("meta"):
                net = torchvision.models.alexnet() if constructor is lpips else torchvision.models.vgg16()
            state = random_state(net)
        metric = constructor(batch_size=2)
        put(metric.weights[0], state)
        return metric, [noisy(s, SIZE, n) for n, s in enumerate((5, 15, 40))], [noisy(0, SIZE, n) for n in range(3)]

    return make


def test_lpips_is_the_librarys_on_minus_one_to_one(ready, stack):
    metric, images, references = ready(lpips)
    x, y = 2 * stack(*images) - 1, 2 * stack(*references) - 1
    plain = learned_perceptual_image_patch_similarity(x, y, net_type="alex", reduction="none")
    assert metric.rate(images, references) == pytest.approx(plain.tolist(), rel=1e-4)
    as_if_in_range = learned_perceptual_image_patch_similarity(stack(*images), stack(*references), reduction="none")
    assert abs(as_if_in_range[2] - plain[2]) > 1e-3 * plain[2]


def test_dists_is_the_librarys_on_zero_to_one(ready, stack):
    metric, images, references = ready(dists)
    plain = deep_image_structure_and_texture_similarity(stack(*images), stack(*references), reduction="none")
    assert metric.rate(images, references) == pytest.approx(plain.tolist(), rel=1e-3, abs=1e-5)


def test_pieapp_is_the_librarys_with_the_image_before_the_reference(ready, stack):
    metric, images, references = ready(pieapp)
    library = piq.PieAPP(reduction="none", data_range=255)
    plain = library(stack(*images) * 255, stack(*references) * 255)
    assert metric.rate(images, references) == pytest.approx(plain.tolist(), rel=1e-3)
    swapped = library(stack(*references) * 255, stack(*images) * 255)
    assert (plain - swapped).abs().max() > 1e-2 * plain.abs().max()


@pytest.mark.parametrize("constructor", [lpips, dists, pieapp])
def test_they_are_distances_down_to_the_smallest_side(ready, noisy, constructor):
    metric, images, references = ready(constructor)
    assert metric.lower_is_better
    if constructor is not pieapp:  # its random weights know no direction
        same, *values = metric.rate([references[0], *images], [references[0], *references])
        assert same == pytest.approx(0, abs=1e-5) and min(values) > same
    side = metric.min_side
    assert isinstance(metric.rate([noisy(9, (side, side))], [noisy(0, (side, side))])[0], float)
    (reason,) = metric.rate([noisy(9, (side - 1, 80))], [noisy(0, (side - 1, 80))])
    assert f"needs {side} pixels" in reason
    if constructor is lpips:
        with pytest.raises(RuntimeError):
            metric.measure(*(metric._tensor([np.asarray(noisy(s, (side - 1, 80)))]) for s in (9, 0)))


def test_a_broken_file_is_named(cache, noisy):
    metric = lpips()
    metric.weights[0].path.parent.mkdir(parents=True)
    metric.weights[0].path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match="alexnet-owt-7be5be79.pth' cannot be read"):
        metric.rate([noisy(3)], [noisy(0)])
