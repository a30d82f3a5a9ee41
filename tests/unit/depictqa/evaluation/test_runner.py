"""What a run leaves on disk: whole, the same each time, to be gone on with, and with what could not be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from datamodules.indexed import IndexedShards
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.baselines.pixel import psnr
from depictqa.evaluation.answerer import ModelAnswerer, Reply
from depictqa.evaluation.benchmark import HeldOutLoss, Questions
from depictqa.evaluation.evaluate import evaluate
from depictqa.evaluation.result import read_results
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import score
from depictqa.evaluation.swap import BothOrders
from depictqa.evaluation.table import results_table
from depictqa.sample import Sample, Slot, Task, Truth, Turn
from depictqa.testing import make_sample, random_image, tiny_model


class Counting:
    """Says Image A, and breaks down at the sample that it is told."""

    name, needs_reference, tasks = "counting", False, None

    def __init__(self, break_at: str | None = None) -> None:
        self.asked: list[str] = []
        self.break_at = break_at

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        if self.break_at in [sample.key for sample in samples]:
            raise RuntimeError("power cut")
        self.asked += [sample.key for sample in samples]
        return [Reply("Image A") for _ in samples]


def pairs(number: int) -> list[Sample]:
    return [make_sample(key=f"k{n}", truth=Truth(better=Slot.A), seed=n) for n in range(number)]


@pytest.fixture
def shards(tmp_path):
    """Three pairs in a tar; the second's Image B is damaged."""
    with ShardWriter(tmp_path / "data", "test", source="made", licence="CC0-1.0", seed=1) as writer:
        for n in range(3):
            images = {slot: random_image((16, 16), n + place) for place, slot in enumerate(Slot)}
            asked = RecordSample(Task.COMPARISON, tuple(Slot), (Turn("Which?", "Image A"),), Truth(better=Slot.A))
            writer.write(Record(f"{n:04d}", images, (asked,), f"photo{n}"))
    (tar,) = (tmp_path / "data" / "test").glob("*.tar")
    index = json.loads(next((tmp_path / "data" / "test").glob("*.index.json")).read_text())
    offset, size = index["records"][1]["images"]["b"][:2]
    content = bytearray(tar.read_bytes())
    content[offset : offset + size] = b"x" * size
    tar.write_bytes(content)
    return IndexedShards(tmp_path / "data", "test")


def test_what_is_cut_short_goes_on_where_it_was(tmp_path):
    benchmark = Questions("comparison", pairs(7))
    whole = Runner(tmp_path / "whole", batch_size=2).run(benchmark, Counting())
    runner = Runner(tmp_path / "cut", batch_size=2, resume=True)
    with pytest.raises(RuntimeError):
        runner.run(benchmark, Counting(break_at="k5"))
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["comparison.counting.jsonl.partial"]
    with open(tmp_path / "cut" / "comparison.counting.jsonl.partial", "a") as file:
        file.write(whole[4].to_line()[:50])  # a line that was being written
    rest = Counting()
    assert runner.run(benchmark, rest) == whole
    assert rest.asked == ["k4", "k5", "k6"]
    (path,) = (tmp_path / "cut").iterdir()
    assert path.read_bytes() == (tmp_path / "whole" / "comparison.counting.jsonl").read_bytes()
    again = Counting()
    assert runner.run(benchmark, again) == whole and again.asked == []


def test_without_resume_all_are_asked_again_and_the_old_file_stays_until_then(tmp_path):
    benchmark, runner = Questions("comparison", pairs(3)), Runner(tmp_path, batch_size=1)
    runner.run(benchmark, Counting())
    before = (tmp_path / "comparison.counting.jsonl").read_bytes()
    with pytest.raises(RuntimeError):
        runner.run(benchmark, Counting(break_at="k1"))
    assert (tmp_path / "comparison.counting.jsonl").read_bytes() == before
    anew = Counting()
    replace(runner, resume=True).run(benchmark, anew)
    assert anew.asked == ["k1", "k2"]  # goes on with the newer attempt


def test_other_questions_than_were_answered_are_refused(tmp_path):
    runner = Runner(tmp_path, resume=True)
    runner.run(Questions("comparison", pairs(3)), Counting())
    with pytest.raises(ValueError, match="line 1 answers 'k0' where 'k2' is asked.*evaluate anew"):
        runner.run(Questions("comparison", pairs(3)[::-1]), Counting())
    with pytest.raises(ValueError, match="are 3, asked are 2"):
        runner.run(Questions("comparison", pairs(2)), Counting())
    more = Counting()
    runner.run(Questions("comparison", pairs(5)), more)
    assert more.asked == ["k0", "k1", "k2", "k3", "k4"]  # three were no whole batch


def test_two_runs_of_a_model_give_the_same_files(tmp_path, tokenizer_folder):
    model = tiny_model(tokenizer_folder)
    for folder in ("one", "two"):
        benchmarks = [Questions("comparison", BothOrders(pairs(3))), HeldOutLoss(pairs(3))]
        evaluate(benchmarks, [ModelAnswerer(model, 4), psnr()], Runner(tmp_path / folder, batch_size=4))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["comparison.jsonl", "loss.jsonl"]  # psnr has no reference here
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("both", [False, True])
def test_an_image_that_cannot_be_read_is_a_result_and_counts_as_wrong(shards, tmp_path, both):
    counting = Counting()
    samples = BothOrders(shards) if both else shards
    results = Runner(tmp_path, batch_size=2).run(Questions("comparison", samples), counting)
    assert len(results) == len(samples) and len(counting.asked) == len(samples) - 1 - both
    unread = [result for result in results if result.error is not None]
    assert [result.key for result in unread] == ["made/0001/0", "made/0001/0/swapped"][: 1 + both]
    assert "0001" in unread[0].error and unread[0].full_reference and unread[0].question == "Which?"
    assert unread[0].truth == {"better": "a"} and unread[-1].truth == {"better": "b" if both else "a"}
    assert read_results(tmp_path / "comparison.counting.jsonl") == results
    figures = score(results)
    assert figures["num_errors"] == 1 + both and figures["accuracy"] == pytest.approx(2 / 3)
    table = results_table({("comparison", "counting"): figures})
    assert f"{1 + both} of 3 (comparison, counting)" in table.caption


def test_a_benchmark_of_which_nothing_can_be_read_stops(tmp_path):
    class Broken(list):
        def __getitem__(self, index):
            raise OSError(f"disk {index} is gone")

        def entry(self, index):
            return list.__getitem__(self, index)

    with pytest.raises(ValueError, match="none of the 2 samples of comparison has an answer.*: disk 0 is gone"):
        Runner(tmp_path).run(Questions("comparison", Broken(pairs(2))), Counting())


def test_nothing_to_ask_is_said(tmp_path):
    with pytest.raises(ValueError, match="nothing to ask psnr of comparison"):
        evaluate([Questions("comparison", pairs(1))], [psnr()], Runner(tmp_path))
    with pytest.raises(ValueError, match="there is nobody to ask"):
        evaluate([Questions("comparison", pairs(1))], [], Runner(tmp_path))


def test_what_had_no_answer_is_asked_again_where_it_goes_on(tmp_path):
    class Failing(Counting):
        def answer(self, samples):
            return [
                Reply("", error="failed: 500") if sample.key in ("k1", "k4") else reply
                for sample, reply in zip(samples, super().answer(samples), strict=True)
            ]

    benchmark, runner = Questions("comparison", pairs(5)), Runner(tmp_path, batch_size=2, resume=True)
    first = runner.run(benchmark, Failing())
    assert [result.key for result in first if result.error] == ["k1", "k4"] and score(first)["accuracy"] == 0.6
    again = Counting()
    assert runner.run(benchmark, again) == Runner().run(benchmark, Counting()) and again.asked == ["k1", "k4"]
    assert not any(result.error for result in read_results(tmp_path / "comparison.counting.jsonl"))
