"""PSNR, SSIM, VIF and FSIM against the libraries called plainly, and the answers that they give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import piq
import pytest
import torchmetrics.functional.image as tm

from depictqa.baselines.pixel import IDENTICAL_PSNR, fsim, psnr, ssim, vif
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import score
from depictqa.sample import Slot, Truth
from depictqa.testing import make_sample

METRICS = [psnr, ssim, vif, fsim]


def pair(reference, a, b, better: Slot = Slot.B):
    return replace(make_sample(truth=Truth(better=better)), images={Slot.REFERENCE: reference, Slot.A: a, Slot.B: b})


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearer_image_is_picked(metric, noisy):
    sample = pair(noisy(0), noisy(40), noisy(5))
    (reply,) = metric().answer([sample])
    assert reply.parsed == {"better": "b"} and reply.text == "Image B"
    assert reply.scores["b"] > reply.scores["a"]
    assert score(Runner().run(Questions("comparison", [sample]), metric()))["accuracy"] == 1


@pytest.mark.parametrize("metric", METRICS)
def test_equal_values_tie_and_count_half(metric, noisy):
    results = Runner().run(Questions("comparison", [pair(noisy(0), noisy(20), noisy(20))]), metric())
    assert results[0].parsed == {"better": "tie"}
    assert score(results)["accuracy"] == 0.5


PLAIN = {
    psnr: lambda x, y: tm.peak_signal_noise_ratio(x, y, data_range=1.0),
    ssim: lambda x, y: tm.structural_similarity_index_measure(x, y, data_range=1.0),
    vif: lambda x, y: piq.vif_p(x * 255, y * 255, data_range=255),
    fsim: lambda x, y: piq.fsim(x * 255, y * 255, data_range=255),
}


@pytest.mark.parametrize("metric", METRICS)
def test_values_are_the_librarys_one_image_at_a_time(metric, noisy, stack):
    images = [noisy(sigma, seed=seed) for seed, sigma in enumerate((5, 15, 40))]
    references = [noisy(0, seed=seed) for seed in range(3)]
    plain = [PLAIN[metric](stack(x), stack(y)).item() for x, y in zip(images, references, strict=True)]
    assert metric(batch_size=2).rate(images, references) == pytest.approx(plain, rel=1e-4)


def test_vif_is_of_the_image_given_the_reference(noisy, stack):
    image, reference = noisy(25), noisy(0)
    swapped = piq.vif_p(stack(reference), stack(image), data_range=1.0).item()
    (value,) = vif().rate([image], [reference])
    assert abs(value - swapped) > 0.05


def test_vif_of_a_small_image_is_that_of_its_continuation_by_a_mirror(noisy, stack):
    image, reference = (noisy(sigma, (48, 40)) for sigma in (25, 0))
    rows = [*range(40), 38]
    plain = piq.vif_p(stack(image)[:, :, rows], stack(reference)[:, :, rows], data_range=1.0).item()
    assert vif().rate([image], [reference]) == pytest.approx([plain], rel=1e-4)


def test_vif_has_the_papers_data_range(noisy, stack):
    """torchmetrics takes the numbers as they are: its value on 0..255 is ours, that on 0..1 is another."""
    image, reference = stack(noisy(25)), stack(noisy(0))
    (value,) = vif().rate([noisy(25)], [noisy(0)])
    grey = [(0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]) for x in (image, reference)]
    at_255 = tm.visual_information_fidelity(*(x * 255 for x in grey)).item()
    at_1 = tm.visual_information_fidelity(*grey).item()
    assert value == pytest.approx(at_255, abs=0.01) and abs(value - at_1) > 0.2


def test_psnr_is_that_of_the_definition(noisy):
    clean, other = noisy(0), noisy(20)
    error = np.mean((np.asarray(clean, float) - np.asarray(other, float)) ** 2)
    same, value = psnr().rate([clean, other], [clean, clean])
    assert same == IDENTICAL_PSNR  # a number, so that the result is JSON
    assert value == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


@pytest.mark.parametrize("metric", [ssim, vif, fsim])
def test_images_down_to_the_smallest_side_are_rated(metric, noisy):
    side = metric().min_side
    assert isinstance(metric().rate([noisy(9, (side, side))], [noisy(0, (side, side))])[0], float)
    small = [noisy(sigma, (64, side)).crop((0, 0, 64, side - 1)) for sigma in (9, 0)]
    assert metric().rate(small[:1], small[1:]) == [f"{metric.__name__} needs {side} pixels a side, got 64x{side - 1}"]
