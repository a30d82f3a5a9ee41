from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from depictqa.baselines.metric import ScoreMetric
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import score
from depictqa.sample import Slot, Task, Truth
from depictqa.testing import make_sample, random_image

SIZES = [(32, 24), (24, 32), (48, 16)]


def distance(calls: list[int], **options) -> ScoreMetric:
    def measure(images: Tensor, references: Tensor) -> Tensor:
        calls.append(len(images))
        return (images - references).abs().mean((1, 2, 3))

    return ScoreMetric("distance", lambda: measure, lower_is_better=True, **options)


def brightness(calls: list[int]) -> ScoreMetric:
    def measure(images: Tensor) -> Tensor:
        calls.append(len(images))
        return images.mean((1, 2, 3))

    return ScoreMetric("brightness", lambda: measure, needs_reference=False)


def samples():
    return [
        make_sample(key=str(n), sizes=dict.fromkeys(Slot, SIZES[n % 3]), truth=Truth(better=Slot.A), seed=n)
        for n in range(7)
    ]


def test_images_are_rated_many_of_one_size_at_a_time_whatever_the_batch():
    calls: list[int] = []
    together = distance(calls).answer(samples())
    assert sorted(calls) == [4, 4, 6]
    for size in (1, 4):
        assert distance([], batch_size=size).answer(samples()) == together
    calls.clear()
    distance(calls, batch_size=3).answer(samples())
    assert max(calls) == 3 and sum(calls) == 14


def test_an_image_that_comes_again_is_rated_once():
    calls: list[int] = []
    sample = samples()[0]
    first, second = distance(calls).answer([sample, sample])
    assert first == second and calls == [2]


def test_a_distance_gives_larger_scores_to_the_nearer_image():
    sample = samples()[0]
    near = replace(sample, images={**sample.images, Slot.B: sample.images[Slot.REFERENCE]})
    (reply,) = distance([]).answer([near])
    assert reply.text == "Image B" and reply.parsed == {"better": "b"}
    assert reply.scores["b"] == 0 > reply.scores["a"]


def test_a_metric_without_reference_answers_samples_with_and_without_one():
    calls: list[int] = []
    alone = make_sample(key="alone", sizes={Slot.A: (32, 24), Slot.B: (16, 16)}, truth=Truth(better=Slot.B), seed=1)
    both = Questions("comparison", [*samples(), alone])
    figures = score(Runner().run(both, brightness(calls)))
    assert figures["full_reference/n"] == 7 and figures["no_reference/n"] == 1 and figures["share_parsed"] == 1
    assert score(Runner().run(both, distance([])))["n"] == 7


def test_a_single_image_is_rated_and_compared_with_none():
    single = make_sample(Task.DESCRIPTION, sizes={Slot.A: (16, 16)})
    (reply,) = brightness([]).answer([single])
    assert reply.scores.keys() == {"a"} and reply.parsed is None and "compares none" in reply.reason


def test_images_without_a_value_say_why_and_the_others_are_still_rated():
    sample = samples()[0]
    odd = replace(sample, images={**sample.images, Slot.B: random_image((16, 24))})
    small = replace(sample, images=dict.fromkeys(Slot, random_image((7, 30))))
    replies = distance([], min_side=8).answer([odd, small, sample])
    assert replies[0].reason == "image b: distance needs images of one size, got 16x24 beside a reference of 32x24"
    assert replies[1].reason.startswith("image a: distance needs 8 pixels a side, got 7x30")
    assert replies[2].parsed is not None
    assert score(Runner().run(Questions("comparison", [odd, sample]), distance([])))["share_parsed"] == 0.5


def test_a_value_that_is_no_number_is_said():
    nan = ScoreMetric("nan", lambda: lambda images: torch.full((len(images),), float("nan")), needs_reference=False)
    assert nan.rate([random_image((8, 8))]) == ["nan gives no finite value"]


def test_grey_and_transparent_images_are_rated_as_rgb():
    image = random_image((16, 16))
    grey = image.convert("L")
    values = brightness([]).rate([grey, grey.convert("RGB"), image.convert("RGBA"), image])
    assert values[0] == values[1] and values[2] == values[3]


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_without_a_gpu_it_runs_on_the_cpu():
    assert distance([]).device.type == "cpu"
