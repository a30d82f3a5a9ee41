"""Runs that are killed at random points end as one that was not: `kills.py`, with few points and with all twenty."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLS, FULL_DISK = (Path(__file__).with_name(name) for name in ("kills.py", "full_disk.py"))


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


def test_a_disk_that_fills_up_ends_in_one_line_and_keeps_what_was_written(tmp_path: Path) -> None:
    """The system refuses files of the size of a checkpoint from the third step on, as a full disk does."""
    done = subprocess.run([sys.executable, str(FULL_DISK), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after, log, code = done.stdout.splitlines()
    assert code == "1" and before == after != "None"
    assert log.startswith("error: could not write ") and "(File too large); what was written before is whole" in log
