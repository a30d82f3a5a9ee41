from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from datamodules.sources.bapps import subset_of
from depictqa.evaluation.answerer import Reply
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.evaluate import score_folder
from depictqa.evaluation.result import Result
from depictqa.evaluation.runner import Runner
from depictqa.evaluation.score import score
from depictqa.evaluation.vote_table import vote_tables
from depictqa.evaluation.votes import vote_figures
from depictqa.sample import Slot, Task, Truth
from depictqa.testing import make_sample

TESTS = Path(__file__).parents[3]
DISTANCES = dict(np.load(Path(__file__).with_name("lpips_bapps.npz"), allow_pickle=False))
"""Subset -> LPIPS' distances of the real triplets; see lpips_bapps.md."""
VOTES = dict(np.load(TESTS / "unit/datamodules/sources/bapps_judgements.npz", allow_pickle=False))
ONE = Result("k", Task.COMPARISON, "bapps", "depictqa", True, "q", "p", "t")


class Lpips:
    """A metric that was measured elsewhere."""

    name, needs_reference, tasks = "lpips", True, None

    def answer(self, samples):
        replies = []
        for sample in samples:
            subset, stem = sample.key.split("/")[1].split("-")
            d0, d1 = map(float, DISTANCES[subset][int(stem)])
            better = "tie" if d0 == d1 else "a" if d0 < d1 else "b"
            replies.append(Reply("", scores={"a": -d0, "b": -d1}, parsed={"better": better}))
        return replies


def test_real_judgements_and_distances_give_the_known_figures_from_the_files(tmp_path):
    made = make_sample(sizes=dict.fromkeys(Slot, (1, 1)))
    samples = [
        replace(made, key=f"bapps/{subset}-{stem:06d}/0", truth=Truth(vote=float(votes) / 5, num_votes=5))
        for subset in DISTANCES
        for stem, votes in enumerate(VOTES[f"val_{subset}"])
    ]
    Runner(tmp_path / "results", batch_size=1000).run(Questions("bapps", samples, subset=subset_of), Lpips())
    got = score_folder(tmp_path)["bapps", "lpips"]

    def percent(subset, name):
        return round(100 * got[f"full_reference/votes/{subset}/{name}"], 2)

    for kind in ("answer", "scores"):
        assert percent("traditional", f"{kind}/two_afc") == 77.48
        assert percent("traditional", f"{kind}/majority_accuracy") == 81.95
        assert percent("cnn", f"{kind}/two_afc") == 82.87
        assert percent("cnn", f"{kind}/majority_accuracy") == 87.26
    humans = ("human", "human_leave_one_out", "ceiling")
    assert [percent("traditional", name) for name in humans] == [80.84, 76.06, 85.78]
    assert [percent("cnn", name) for name in humans] == [84.35, 80.43, 88.47]
    assert got["full_reference/votes/overall/n"] == 9440
    assert 77.48 > 100 * got["full_reference/votes/traditional/scores/two_afc_low"] > 76
    console = Console(width=120)
    with console.capture() as shown:
        for table in vote_tables(score_folder(tmp_path)):
            console.print(table)
    lines = [line for line in shown.get().splitlines() if "lpips" in line]
    assert len(lines) == 3 and "82.87 [" in lines[0] and "87.26 [" in lines[0]  # cnn, traditional, overall
    assert "80.43 [" in next(line for line in shown.get().splitlines() if "leave one out" in line)


def asked(pick, vote, swap_of=None, **change):
    parsed = pick and {"better": pick}
    truth = {"better": "b" if vote > 0.5 else "a", "vote": vote, "num_votes": 5}
    return replace(ONE, parsed=parsed, truth=truth, swap_of=swap_of, **change)


def test_figures_by_hand():
    """Unread words get nothing, nor do words that find both alike; equal scores get half."""
    even = {"a": 0.5, "b": 0.5}
    results = [
        asked("a", 0.2, key="1", subset="cnn", scores={"a": 0.9, "b": 0.1}),
        asked("a", 1.0, key="2", subset="cnn", scores={"a": 0.1, "b": 0.9}),
        asked(None, 0.4, key="3", subset="color", scores=even),
        asked("neither", 0.4, key="4", subset="color", scores=even),
    ]
    got = vote_figures(results)
    assert got["votes/cnn/answer/two_afc"] == pytest.approx(0.4) and got["votes/cnn/answer/majority_accuracy"] == 0.5
    assert got["votes/cnn/scores/two_afc"] == pytest.approx(0.9) and got["votes/cnn/scores/majority_accuracy"] == 1
    assert got["votes/color/answer/two_afc"] == 0 and got["votes/color/scores/two_afc"] == 0.5
    assert got["votes/color/answer/share_parsed"] == 0.5
    assert got["votes/overall/answer/two_afc"] == pytest.approx(0.2) and got["votes/overall/n"] == 4
    assert got["votes/overall/human"] == pytest.approx((0.68 + 1 + 0.52 + 0.52) / 4)
    assert got["votes/overall/human_leave_one_out"] == pytest.approx((0.6 + 1 + 0.4 + 0.4) / 4)
    assert got["votes/overall/ceiling"] == pytest.approx((0.8 + 1 + 0.6 + 0.6) / 4)
    assert got["votes/overall/answer/two_afc_low"] <= 0.2 <= got["votes/overall/answer/two_afc_high"]
    assert vote_figures(results) == got


def test_swapped_pairs_tell_consistency_and_nothing_else():
    results = [
        asked("a", 0.0, key="1"), asked("b", 1.0, "1", key="1/s"),  # the same image
        asked("a", 1.0, key="2"), asked("a", 0.0, "2", key="2/s"),  # the same place
        asked(None, 1.0, key="3"), asked(None, 0.0, "3", key="3/s"),  # no answer is no choice
        asked("neither", 1.0, key="4"), asked("neither", 0.0, "4", key="4/s"),
    ]  # fmt: skip
    got = vote_figures(results)
    assert got["votes/overall/answer/swap_consistency"] == 0.5 and got["votes/overall/num_swapped"] == 4
    assert got["votes/overall/n"] == 4 and got["votes/overall/answer/two_afc"] == 0.25
    assert got["votes/overall/answer/share_a"] == 0.75
    whole = score(results)
    assert whole["n"] == whole["full_reference/n"] == 4
    assert whole["full_reference/votes/overall/answer/swap_consistency"] == 0.5


def test_without_votes_there_are_no_such_figures():
    assert vote_figures([replace(ONE, truth={"better": "a"})]) == {}


def test_leave_one_out_needs_the_number_of_votes():
    got = vote_figures([replace(ONE, truth={"vote": 0.2})])
    assert "votes/overall/human" in got and "votes/overall/human_leave_one_out" not in got


def test_triplets_with_other_numbers_of_votes_count_by_their_own():
    got = vote_figures([asked("a", 0.5), replace(ONE, truth={"vote": 0.5, "num_votes": 2})] * 2)
    assert got["votes/overall/human_leave_one_out"] == pytest.approx(((5 * 0.5 - 1) / 4 + 0) / 2)
    assert "votes/overall/answer/majority_accuracy" not in got  # nobody has one
