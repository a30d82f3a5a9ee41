"""A run whose process may not write large files any more after some steps; prints what it leaves."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(Path(__file__).parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import kills  # noqa: E402


def step_of(checkpoint: Path) -> int | None:
    from depictqa.checkpoint import read_checkpoint

    return int(read_checkpoint(checkpoint)["global_step"]) if checkpoint.is_file() else None


def main(folder: Path) -> None:
    os.chdir(folder)
    runs, out = kills.Runs(folder), folder / "run"
    pid = runs.fork(lambda: kills.program(runs.command(out)), out.with_suffix(".log"))
    last = out / "checkpoints" / "last.ckpt"
    while not last.exists() and not runs.over(pid):
        time.sleep(0.001)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    time.sleep(0.05)  # one that was being written
    before = step_of(last)
    code = runs.wait(pid)
    errors = [line for line in out.with_suffix(".log").read_text().splitlines() if line.startswith("error")]
    print(before, step_of(last), *errors, code, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
