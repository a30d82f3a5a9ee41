"""Runs that are killed at random points end as one that was not: `kills.py`, with few points and with all twenty."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("kills.py")


def tally(*words: str) -> str:
    done = subprocess.run([sys.executable, str(KILLS), *words], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    return done.stdout.splitlines()[-1]


def test_runs_killed_at_three_random_points_end_as_an_unbroken_one() -> None:
    assert tally("--runs", "2", "--seed", "1").startswith("2 of 2 runs ended with the unbroken run's weights")


@pytest.mark.slow
def test_runs_killed_at_twenty_random_points_and_more_end_as_an_unbroken_one() -> None:
    assert tally("--runs", "20").startswith("20 of 20 runs ended with the unbroken run's weights")
