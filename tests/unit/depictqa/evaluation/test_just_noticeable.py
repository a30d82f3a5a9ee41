"""Just-noticeable differences: who is asked what, and the distances that follow."""

from __future__ import annotations

import logging

import pytest
import torch

from depictqa.baselines.pixel import psnr
from depictqa.evaluation.answerer import ModelAnswerer
from depictqa.evaluation.just_noticeable import JustNoticeable, same_figures
from depictqa.evaluation.result import Result
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import score
from depictqa.metrics.jnd import average_precision
from depictqa.sample import Sample, Slot, Task, Truth, Turn
from depictqa.scoring import probability_of_a
from depictqa.testing import random_image, tiny_model

QUESTION = "Which image is better?"


def made(num: int = 6) -> list[Sample]:
    samples = []
    for number in range(num):
        near = number % 2 == 0  # the same image, or another
        images = {Slot.A: random_image((40, 40), number), Slot.B: random_image((40, 40), number if near else 99)}
        key = f"{'cnn' if number < num // 2 else 'traditional'}/{number}"
        truth = Truth(same=1.0 if near else 1 / 3, num_votes=3)
        samples.append(Sample(key, Task.COMPARISON, images, (Turn(QUESTION),), truth))
    return samples


def benchmark(num: int = 6) -> JustNoticeable:
    return JustNoticeable("bapps_jnd", made(num), lambda key: key.partition("/")[0])


def test_a_model_is_asked_in_both_orders(tokenizer_folder):
    model = tiny_model(tokenizer_folder)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():  # fresh weights find all images alike
            parameter.add_(torch.randn_like(parameter) * 0.3)
    results = Runner().run(benchmark(), ModelAnswerer(model))
    assert len(results) == 12 and [r.swap_of for r in results[:2]] == [None, "cnn/0"]
    assert not any(result.full_reference for result in results)
    samples = made()
    share = probability_of_a(model, samples)
    figures = score(results)
    turned = [Sample("", s.task, {Slot.A: s.images[Slot.B], Slot.B: s.images[Slot.A]}, s.dialogue) for s in samples]
    other = probability_of_a(model, turned)
    distances = ((share + 1 - other) / 2 - 0.5).abs().double()
    same = [sample.truth.same for sample in samples]
    assert figures["jnd/overall/map"] == pytest.approx(average_precision(distances.numpy(), same))
    assert figures["jnd/overall/n"] == 6 and figures["jnd/cnn/n"] == figures["jnd/traditional/n"] == 3
    assert figures["jnd/overall/mean_same"] == pytest.approx(sum(same) / 6)


def test_a_metric_measures_b_against_a():
    results = Runner().run(benchmark(), psnr())
    assert len(results) == 6 and all(r.full_reference and r.scores.keys() == {"a"} for r in results)
    distances = [-result.scores["a"] for result in results]
    assert distances[0] == -200 < distances[1]  # identical patches are nearest
    same = [sample.truth.same for sample in made()]
    assert score(results)["jnd/overall/map"] == pytest.approx(average_precision(distances, same))


def test_who_measures_no_distance_is_told_once_and_not_asked(caplog):
    class Talker:
        name, needs_reference = "talker", False

    with caplog.at_level(logging.WARNING):
        assert Runner().run(benchmark(), Talker()) == []
    (record,) = caplog.records
    assert "bapps_jnd: talker is skipped" in record.getMessage()


def line(key: str, same: float, a: float, swap_of: str | None = None) -> Result:
    fields = {"scores": {"a": a, "b": 1 - a}, "truth": {"same": same}, "subset": "cnn", "swap_of": swap_of}
    return Result(key, Task.COMPARISON, "bapps_jnd", "m", False, "?", "", "", **fields)


def test_a_liking_for_a_place_is_no_distance():
    # of "one" A is preferred wherever what stands; of "two" the first image is preferred in both orders
    results = [line("one", 1, 0.9), line("one/swapped", 1, 0.9, "one"), line("two", 0, 0.7)]
    results += [line("two/swapped", 0, 0.3, "two")]
    figures = same_figures(results)
    assert figures["jnd/cnn/map"] == 1 and figures["jnd/cnn/map_apart"] == 0.5
    assert figures["jnd/overall/n"] == 2 and figures["jnd/overall/mean_same"] == 0.5


def test_pairs_that_are_the_same_to_nobody_have_no_precision():
    assert same_figures([line("one", 0, 0.9), line("two", 0, 0.4)]) == {}
