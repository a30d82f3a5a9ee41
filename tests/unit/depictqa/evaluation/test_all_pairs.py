"""All pairs by whoever is asked: a model by shared beginnings, a metric by rating once, others in words."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from depictqa.assess import BRIEF
from depictqa.baselines.pixel import psnr
from depictqa.evaluation.all_pairs import AllPairs
from depictqa.evaluation.answerer import ModelAnswerer, Reply
from depictqa.evaluation.levels import Levels
from depictqa.evaluation.rated_images import LEVEL_QUESTION, RatedGroup, RatedImage
from depictqa.evaluation.result import Result
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import score
from depictqa.sample import Sample, Slot, Task, Turn
from depictqa.scoring import probability_of_a, quality_scores
from depictqa.testing import random_image, tiny_model

SIZE = (48, 40)


def image(seed: int):
    return random_image(SIZE, seed)


def broken():
    raise ValueError("image 'q2' cannot be decoded")


def groups(bad: bool = False) -> list[RatedGroup]:
    """Two references of four images each."""
    made = []
    for place, name in enumerate("pq"):
        seeds = [10 * place + n for n in range(4)]
        images = [RatedImage(f"{name}{n}", float(-s % 7), lambda s=s: image(s)) for n, s in enumerate(seeds)]
        if bad and name == "q":
            images[2] = RatedImage("q2", 1.0, broken)
        made.append(RatedGroup(name, tuple(images), lambda place=place: image(100 + place)))
    return made


@pytest.fixture(scope="module")
def model(tokenizer_folder):
    model = tiny_model(tokenizer_folder)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def alone(model, result: Result) -> float:
    """The probability of A in this pair, asked by itself."""
    number = {f"{name}{n}": 10 * place + n for place, name in enumerate("pq") for n in range(4)}
    names = result.truth["names"]
    images = {Slot.A: image(number[names["a"]]), Slot.B: image(number[names["b"]])}
    if result.full_reference:
        images = {Slot.REFERENCE: image(100 + "pq".index(names["reference"]))} | images
    return float(probability_of_a(model, [Sample("", Task.COMPARISON, images, (Turn(BRIEF),))]))


@pytest.mark.parametrize("swap", [False, True])
def test_a_model_votes_as_it_does_pair_by_pair(model, swap):
    results = Runner(batch_size=5).run(AllPairs("votes_x", groups(), swap=swap), ModelAnswerer(model))
    assert len(results) == 2 * 2 * 6 * (2 if swap else 1)
    shares = [result.scores["a"] for result in results]
    assert max(shares) - min(shares) > 0.01
    for result in results[:: 3 if swap else 1]:
        assert result.scores["a"] == pytest.approx(alone(model, result), abs=1e-5)
        better = "a" if result.scores["a"] > 0.5 else "b"
        assert result.parsed == {"better": better} and result.confidence == result.scores[better]
        assert result.prediction == f"Image {better.upper()}" and len(result.to_line()) < 700
    if swap:
        first, second = results[:2]
        assert second.swap_of == first.key and second.truth["mos"]["a"] == first.truth["mos"]["b"]
    assert score(results)["no_reference/num_votes"] == len(results) / 2


def test_what_was_begun_is_gone_on_with_in_the_middle_of_a_reference(model, tmp_path):
    answerer = ModelAnswerer(model)
    Runner(tmp_path / "whole", 5).run(AllPairs("votes_x", groups()), answerer)
    whole = (tmp_path / "whole" / "votes_x.jsonl").read_text()
    (tmp_path / "cut").mkdir()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "cut" / "votes_x.jsonl.partial").write_text("".join(lines[:8]) + lines[8][:20])
    Runner(tmp_path / "cut", 5, resume=True).run(AllPairs("votes_x", groups()), answerer)
    assert (tmp_path / "cut" / "votes_x.jsonl").read_text() == whole


def test_an_image_that_cannot_be_read_costs_its_own_pairs(model):
    for answerer in (ModelAnswerer(model), psnr()):
        results = Runner(batch_size=4).run(AllPairs("votes_x", groups(bad=True)), answerer)
        errors = [result for result in results if result.error]
        ways = 2 if answerer.name == "depictqa" else 1
        assert len(results) == 12 * ways and len(errors) == 3 * ways
        assert all("q2" in r.truth["names"].values() and "'q2' cannot be decoded" in r.error for r in errors)
        figures = score(results)
        assert figures["num_errors"] == 3 * ways and figures["full_reference/num_votes"] == 9
        assert figures["full_reference/wins/n"] == 7


def test_a_metric_rates_each_image_once():
    metric = psnr()
    rated = []
    grade = metric.grade
    metric.grade = lambda samples: rated.extend(samples) or grade(samples)
    results = Runner(batch_size=4).run(AllPairs("votes_x", groups()), metric)
    assert len(rated) == 8 and len(results) == 12
    samples = [Sample("", Task.COMPARISON, s.images, (Turn(BRIEF),)) for s in AllPairs("votes_x", groups()).samples[:6]]
    for result, reply in zip(results, metric.answer(samples), strict=False):
        assert result.scores == pytest.approx(reply.scores) and result.parsed == reply.parsed
        assert result.confidence is None
    assert {"full_reference/wins/srcc", "full_reference/scores/srcc"} <= score(results).keys()


class Talker:
    """Answers in words, with a liking for B."""

    name, needs_reference, tasks = "talker", False, None

    def answer(self, samples):
        return [Reply("Image B" if number % 3 else "I cannot tell.") for number, _ in enumerate(samples)]


def test_others_are_asked_in_words():
    results = Runner(batch_size=6).run(AllPairs("votes_x", groups(), references=[False]), Talker())
    assert [result.parsed for result in results[:3]] == [None, {"better": "b"}, {"better": "b"}]
    figures = score(results)
    assert figures["no_reference/num_votes"] == 8 and figures["no_reference/share_parsed"] == pytest.approx(8 / 12)


def test_levels_are_the_models_mean_over_words(model, caplog):
    benchmark = Levels("levels_x", groups())
    results = Runner(batch_size=3).run(benchmark, ModelAnswerer(model))
    assert len(results) == 16 and all(result.parsed == {"score": result.scores["a"]} for result in results)
    images = {Slot.REFERENCE: image(101), Slot.A: image(12)}
    sample = Sample("", Task.ASSESSMENT, images, (Turn(LEVEL_QUESTION),))
    (found,) = [r for r in results if r.full_reference and r.truth["names"]["a"] == "q2"]
    assert found.scores["a"] == pytest.approx(float(quality_scores(model, [sample])), abs=1e-5)
    assert found.prediction.startswith("The quality of the image is ") and 0.2 <= found.confidence <= 1
    assert {"full_reference/scores/srcc", "no_reference/scores/per_reference/srcc"} <= score(results).keys()
    metric = psnr()
    rated = Runner(batch_size=3).run(benchmark, metric)
    assert len(rated) == 8 and all(result.full_reference for result in rated)
    assert rated[0].scores["a"] == pytest.approx(metric.rate([image(0)], [image(100)])[0])
    assert Runner().run(benchmark, Talker()) == [] == Runner().run(benchmark, Talker())
    assert [r.getMessage() for r in caplog.records] == [
        "levels_x: talker is skipped, it gives no score to a single image"
    ]


def test_order_in_a_group_decides_who_stands_as_a():
    names = [result.split("|")[:2] for result in (s.key for s in AllPairs("v", groups(), [False]).samples)]
    assert names[:6] == [list(pair) for pair in combinations(["p0", "p1", "p2", "p3"], 2)]
