from __future__ import annotations

import pytest

from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.samples import has_reference, of_tasks
from depictqa.evaluation.swap import BothOrders, original_key, swapped
from depictqa.sample import Distortion, Slot, Task, Truth
from depictqa.testing import make_sample

NOISE = {Slot.A: (Distortion("noise", "gaussian_rgb", 3),)}
SIZES = {Slot.REFERENCE: (20, 20), Slot.A: (20, 20), Slot.B: (20, 20)}


def sample(key="templated/cnn-000001/0"):
    return make_sample(sizes=SIZES, key=key, truth=Truth(better=Slot.A, vote=0.2, num_votes=5, distortions=NOISE))


def test_images_truth_and_answer_are_exchanged_and_twice_is_the_same():
    one, other = sample(), swapped(sample())
    assert other.images[Slot.A] == one.images[Slot.B]
    assert other.images[Slot.B] == one.images[Slot.A] != one.images[Slot.B]
    assert list(other.images) == list(Slot) and other.images[Slot.REFERENCE] == one.images[Slot.REFERENCE]
    assert other.truth == Truth(better=Slot.B, vote=0.8, num_votes=5, distortions={Slot.B: NOISE[Slot.A]})
    assert other.dialogue[-1].answer == "Image B" and other.dialogue[-1].question == one.dialogue[-1].question
    assert original_key(other.key) == one.key and original_key(one.key) is None
    assert swapped(other).truth == one.truth and swapped(other).images == one.images


def test_results_say_of_which_pair_they_are_the_other_order():
    class First:
        name, needs_reference, tasks = "first", True, None

        def answer(self, samples):
            from depictqa.evaluation.answerer import Reply

            return [Reply("Image A") for _ in samples]

    both = BothOrders(of_tasks([sample("k0"), sample("k1")], {Task.COMPARISON}))
    assert len(both) == 4 and has_reference(both, 3)
    results = Runner().run(Questions("bapps", both, subset=lambda key: key), First())
    assert [r.swap_of for r in results] == [None, "k0", None, "k1"]
    assert [r.subset for r in results] == ["k0", "k0", "k1", "k1"]
    assert len({r.key for r in results}) == 4
    assert [r.truth["vote"] for r in results] == [0.2, 0.8, 0.2, 0.8]
    assert [s.key for s in both[1:3]] == [both[1].key, "k1"]
    with pytest.raises(IndexError):
        both[4]
