from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from depictqa.baselines.pixel import IDENTICAL_PSNR, baselines
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.runner import run
from depictqa.evaluation.score import score
from depictqa.sample import Slot, Truth
from depictqa.testing import make_sample, random_image

SIZES = {Slot.REFERENCE: (32, 24), Slot.A: (32, 24), Slot.B: (32, 24)}


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def pair(a: Image.Image, b: Image.Image, better: Slot = Slot.B):
    images = {Slot.REFERENCE: random_image((32, 24)), Slot.A: a, Slot.B: b}
    return replace(make_sample(sizes=SIZES, truth=Truth(better=better)), images=images)


@pytest.mark.parametrize("metric", baselines(), ids=lambda metric: metric.name)
def test_the_nearer_image_is_picked(metric):
    clean = random_image((32, 24))
    sample = pair(noisy(clean, 40), noisy(clean, 5))
    (reply,) = metric.answer([sample])
    assert reply.parsed == {"better": "b"} and reply.text == "Image B"
    assert reply.scores["b"] > reply.scores["a"]
    assert score(run(Questions("comparison", [sample]), metric))["accuracy"] == 1


@pytest.mark.parametrize("metric", baselines(), ids=lambda metric: metric.name)
def test_equal_values_tie_and_count_half(metric):
    worse = noisy(random_image((32, 24)), 20)
    results = run(Questions("comparison", [pair(worse, worse)]), metric)
    assert results[0].parsed == {"better": "tie"}
    assert score(results)["accuracy"] == 0.5


def test_values_are_those_of_the_definition():
    clean = random_image((32, 24))
    psnr = baselines()[0]
    other = noisy(clean, 20)
    (reply,) = psnr.answer([pair(clean, other, Slot.A)])
    error = np.mean((np.asarray(clean, float) - np.asarray(other, float)) ** 2)
    assert reply.scores["a"] == IDENTICAL_PSNR  # a number, so that the result is JSON
    assert reply.scores["b"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


def test_images_that_cannot_be_compared_say_why():
    clean = random_image((32, 24))
    psnr, ssim = baselines()
    (result,) = run(Questions("comparison", [pair(clean, random_image((16, 24)))]), psnr)
    assert result.parsed is None and "one size" in result.reason and "b 16x24" in result.reason
    small = {slot: random_image((8, 8)) for slot in SIZES}
    (reply,) = ssim.answer([replace(pair(clean, clean), images=small)])
    assert reply.parsed is None and "11 pixels" in reply.reason
