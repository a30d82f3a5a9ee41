"""Packs on the paper's length distribution."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.packing import count, first_fit, paper_lengths
from datamodules.packing import even_packs, packing_efficiency


@pytest.mark.parametrize("crop", [False, True])
def test_packs_of_8192_tokens_are_97_percent_full(crop):
    lengths = paper_lengths(10_000, crop=crop)
    assert packing_efficiency(lengths, 8192, 1000) >= 0.97
    ours, usual = (count(way, lengths, 8192) for way in (even_packs, first_fit))
    assert ours["full"] >= usual["full"] and ours["samples_sd"] < 0.25 * usual["samples_sd"]


def test_the_distribution_is_the_papers():
    lengths = paper_lengths(50_000, crop=False)
    assert lengths.mean() == pytest.approx(760, abs=30)
    assert np.array_equal(paper_lengths(100), paper_lengths(100))
    assert (paper_lengths(1000) <= paper_lengths(1000, crop=False).max()).all()


def test_json_is_one_object():
    script = Path(__file__).parents[3] / "bench" / "packing.py"
    out = subprocess.run(
        [sys.executable, script, "--json", "--draws", "8000"], capture_output=True, text=True, check=True
    )
    found = json.loads(out.stdout)
    assert len(found["packing"]) == 16 and len(found["plans"]) == 6
    by_name = {(plan["packing"], plan["gpus"]): plan for plan in found["plans"]}
    for gpus in (1, 8):
        assert min(by_name[way, gpus]["used"] for way in ("step", "window")) > max(0.98, by_name["none", gpus]["used"])
    assert all(abs(plan["samples"] / plan["gpus"] - 16) < 0.5 for plan in found["plans"])
