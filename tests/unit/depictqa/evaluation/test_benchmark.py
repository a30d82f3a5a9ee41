from __future__ import annotations

from collections.abc import Sequence

from datamodules.indexed import Entry
from depictqa.evaluation.answerer import Reply
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.result import read_results
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.samples import Subset, has_reference, of_tasks
from depictqa.sample import Sample, Slot, Task, Truth
from depictqa.testing import make_sample

WITH = {Slot.REFERENCE: (16, 16), Slot.A: (16, 16), Slot.B: (16, 16)}
WITHOUT = {Slot.A: (16, 16), Slot.B: (16, 16)}


def comparisons(number: int) -> list[Sample]:
    """Every second one with a reference; A is always better."""
    return [
        make_sample(sizes=WITHOUT if n % 2 else WITH, key=f"k{n}", truth=Truth(better=Slot.A)) for n in range(number)
    ]


class Says:
    """Answers each sample by its key, and remembers how it was asked."""

    needs_reference = False
    tasks = None

    def __init__(self, name: str, texts: dict[str, str]) -> None:
        self.name = name
        self.texts = texts
        self.batches: list[int] = []

    def answer(self, samples: Sequence[Sample]) -> list[Reply]:
        self.batches.append(len(samples))
        return [Reply(self.texts[sample.key], confidence=0.5) for sample in samples]


class Lazy(Sequence):
    """As shards are: `entry` tells without opening."""

    def __init__(self, samples):
        self.samples, self.opened = samples, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.opened.append(index)
        return self.samples[index]

    def entry(self, index):
        sample = self.samples[index]
        return Entry(sample.key, sample.task, dict.fromkeys(sample.images, (16, 16)), sample.dialogue, sample.truth)


def test_results_come_in_order_and_are_left_on_disk(tmp_path):
    samples = comparisons(5)
    says = Says(
        "depictqa",
        {f"k{n}": text for n, text in enumerate(["Image A", "Image B", "A.", "what?", "equal quality"])},
    )
    results = Runner(tmp_path, batch_size=2).run(Questions("comparison", samples), says)
    assert says.batches == [2, 2, 1]
    assert [r.key for r in results] == [s.key for s in samples]
    assert [r.parsed and r.parsed["better"] for r in results] == ["a", "b", "a", None, "neither"]
    assert results[3].reason and results[0].reason is None
    assert [r.full_reference for r in results] == [True, False, True, False, True]
    assert read_results(tmp_path / "comparison.jsonl") == results


def test_a_baseline_is_only_asked_where_there_is_a_reference(tmp_path, caplog):
    caplog.set_level("INFO")
    says = Says("psnr", {f"k{n}": "Image A" for n in range(5)})
    says.needs_reference = True
    results = Runner(tmp_path).run(Questions("comparison", comparisons(5)), says)
    assert [r.key for r in results] == ["k0", "k2", "k4"]
    assert "psnr is asked about 3 of 5 samples" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.psnr.jsonl"]


def test_selecting_opens_nothing():
    lazy = Lazy([*comparisons(4), make_sample(Task.CONTENT, key="c")])
    chosen = of_tasks(lazy, {Task.COMPARISON})
    assert len(chosen) == 4 and lazy.opened == []
    assert not has_reference(chosen, 1) and lazy.opened == []
    assert chosen[1].key == "k1" and lazy.opened == [1]
    assert [sample.key for sample in chosen[2:]] == ["k2", "k3"]


def test_a_limit_takes_as_many_with_a_reference_as_without():
    samples = comparisons(100)
    chosen = of_tasks(samples, {Task.COMPARISON}, limit=10)
    assert sum(has_reference(chosen, n) for n in range(len(chosen))) == 10 and len(chosen) == 20
    assert chosen.indices == of_tasks(samples, {Task.COMPARISON}, limit=10).indices
    assert isinstance(of_tasks(samples, {Task.COMPARISON}, limit=1000), Subset)
    assert len(of_tasks(samples, {Task.COMPARISON}, limit=1000)) == 100
