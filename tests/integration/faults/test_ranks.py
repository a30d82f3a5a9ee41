"""A run of two processes on the CPU, one of which is killed: the other ends within seconds and says why."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depictqa.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[3]
WITHIN = 60.0  # seconds; it takes one or two where the machine is not busy


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    made = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import kills; from pathlib import Path"
    code = f"{made}; kills.make_data(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment())
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}


class Run:
    """The program with two processes, from when it has made a few steps."""

    def __init__(self, data: Path, out: Path, *words: str, step: int = 3) -> None:
        self.out = out
        command = [
            sys.executable, str(ROOT / "run.py"), "data=templated", "scale.synthetic=null", f"data.root={data}/shards",
            f"model.language.tokenizer={data}/tokenizer", f"hydra.run.dir={out}", "logger=csv", "data.batch_size=4",
            "trainer.accelerator=cpu", "trainer.devices=2", "trainer.threads=1", "trainer.max_epochs=500",
            "trainer.log_every=1", "trainer.checkpoint_every=2", "trainer.validations_per_epoch=1",
            "trainer.num_examples=0", "evaluation.max_new_tokens=4", "evaluation.limit=1", "baseline=[]", *words,
        ]  # fmt: skip
        self.log = out.with_suffix(".log")
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, cwd=out.parent, start_new_session=True, env=environment()
            )
        end = time.monotonic() + 180
        while self.steps() < step and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)

    def steps(self) -> int:
        if not (self.out / "metrics.csv").is_file():
            return 0
        with (self.out / "metrics.csv").open(newline="") as file:
            return max([int(row["step"] or 0) for row in csv.DictReader(file)], default=0)

    def rank(self, number: int) -> int:
        """The process of a rank: this run's own process has started them all."""
        return self.ranks()[number]

    def ranks(self) -> dict[int, int]:
        """Those that run, by number."""
        agent = f"DEPICTQA_AGENT={self.process.pid}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            numbers = [int(each.split(b"=")[1]) for each in variables if each.startswith(b"LOCAL_RANK=")]
            if agent in variables and numbers and b"run.py" in command:
                found.setdefault(numbers[0], int(folder.name))
        return found

    def ended(self, pids: list[int]) -> float:
        """Seconds until none of them runs."""
        start = time.monotonic()
        while any(running(pid) for pid in pids):
            self.process.poll()
            assert time.monotonic() - start < WITHIN, self.log.read_text()
            time.sleep(0.05)
        return time.monotonic() - start


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def start(data: Path, tmp_path: Path) -> Iterator[Any]:
    runs: list[Run] = []

    def one(*words: str, **options: Any) -> Run:
        runs.append(Run(data, tmp_path / "run", *words, **options))
        return runs[-1]

    yield one
    for run in runs:
        for pid in (run.process.pid, *run.ranks().values()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        run.process.wait()


@pytest.mark.parametrize("number", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_where_a_rank_is_killed_the_other_ends_and_names_it(start: Any, number: int) -> None:
    run = start()
    pids = [run.rank(0), run.rank(1)]
    os.kill(pids[number], signal.SIGKILL)
    seconds = run.ended(pids)
    print(f"rank {number} killed; all ended after {seconds:.1f} s; exit code {run.process.wait()}")
    said = [line for line in run.log.read_text().splitlines() if not line.startswith("step ")]
    assert said[0].startswith(f"error: rank {number} (process {pids[number]} on "), said
    assert said[0].endswith("; all others end too; go on with resume=run")
    assert not any("loss nan" in line for line in run.log.read_text().splitlines())
    assert "Traceback" not in run.log.read_text()
    assert run.process.returncode == 1
    assert f"process {number} of 2 was ended by SIGKILL" in run.log.read_text()
    assert read_checkpoint(run.out / "checkpoints" / "last.ckpt")["global_step"] >= 2


def test_where_the_process_that_started_the_ranks_is_killed_they_save_and_end(start: Any) -> None:
    run = start()
    pids = [run.rank(0), run.rank(1)]
    run.process.kill()
    steps = run.steps()
    print(f"agent killed; all ended after {run.ended(pids):.1f} s")
    assert read_checkpoint(run.out / "checkpoints" / "last.ckpt")["global_step"] >= steps


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_where_one_rank_is_asked_to_stop_all_save_and_stop(start: Any, number: int) -> None:
    run = start()
    pids = [run.rank(0), run.rank(1)]
    os.kill(pids[number], signal.SIGUSR1)
    seconds = run.ended(pids)
    print(f"rank {number} asked to stop; all ended after {seconds:.1f} s")
    assert run.process.wait() == 143
    assert "stopped; go on with resume=run" in run.log.read_text()
    assert read_checkpoint(run.out / "checkpoints" / "last.ckpt")["global_step"] >= run.steps()


@pytest.mark.slow
def test_both_ranks_skip_what_is_no_number_on_one_and_name_all_samples(start: Any) -> None:
    run = start("trainer.optimizer.lr=1e30", step=100)
    assert run.process.wait() == 1
    errors = [line for line in run.log.read_text().splitlines() if line.startswith("error: ")]
    assert errors and all("step 2: the loss is nan; its samples are named in" in line for line in errors)
    text = (run.out / "bad_batches.jsonl").read_text()
    assert text.count("\n") == 1 and '"rank": 0' in text and '"rank": 1' in text
