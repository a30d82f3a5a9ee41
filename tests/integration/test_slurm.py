"""docs/train.sbatch under a scheduler that is not there: two "nodes" of one task each train, are warned, end with 143,
are requeued, go on, and give what an unbroken run gives.

srun and scontrol are stand-ins that start and signal processes; the script, the training and its processes (gloo, by
Lightning's own SLURM environment) are real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.test_resume import folder, losses_in  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "train.sbatch"

SRUN = """#!{python}
import os, signal, subprocess, sys
command = sys.argv[1:]
while command[0].startswith("--"):
    command.pop(0)
tasks = []
for number in range(2):
    place = {{"SLURM_PROCID": number, "SLURM_NODEID": number, "SLURM_LOCALID": 0, "SLURM_NTASKS": 2}}
    tasks.append(subprocess.Popen(command, env={{**os.environ, **{{name: str(n) for name, n in place.items()}}}}))
for which in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(which, lambda signum, _: [task.send_signal(signum) for task in tasks])
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = """#!/bin/sh
echo "$@" >> {requeued}
"""


@pytest.fixture
def scheduler(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of two nodes."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (tools / name).write_text(text.format(python=sys.executable, requeued=tmp_path / "requeued"))
        (tools / name).chmod(0o755)
    job = {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NAME": "depictqa", "SLURM_NNODES": "2", "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1", "SLURM_NODELIST": "127.0.0.1", "SLURM_CPUS_PER_TASK": "1",
    }  # fmt: skip
    path = f"{tools}:{os.environ['PATH']}"
    return {**os.environ, **job, "PATH": path, "PYTHON": sys.executable, "RUN_DIR": str(tmp_path / "run")}


def job(shards: Path, environment: dict[str, str], *more: str) -> subprocess.Popen[str]:
    """The script, from the root of the project, as sbatch runs it."""
    words = [
        "data=templated", "scale.synthetic=null", f"data.root={shards}/shards", "trainer=ddp", "logger=csv",
        f"model.language.tokenizer={shards}/tokenizer", "data.batch_size=4", "trainer.accelerator=cpu",
        "trainer.threads=1", "trainer.max_epochs=2", "trainer.log_every=1", "trainer.validations_per_epoch=1",
        "trainer.num_examples=0", "evaluation.max_new_tokens=4", "evaluation.limit=2", "baseline=[]", *more,
    ]  # fmt: skip
    out = subprocess.PIPE
    return subprocess.Popen(["bash", SCRIPT, *words], stdout=out, stderr=out, env=environment, cwd=ROOT, text=True)


def test_the_script_is_one_that_bash_and_sbatch_read() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    lines = SCRIPT.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert len(options) >= 8 and max(options) < first, "sbatch reads no options after the first command"


@pytest.mark.slow
def test_a_warned_job_is_requeued_and_goes_on(
    folder: Path,  # noqa: F811
    tmp_path: Path,
    scheduler: dict[str, str],
) -> None:
    whole = job(folder, {**scheduler, "RUN_DIR": str(tmp_path / "whole")})
    _, error = whole.communicate(timeout=400)
    assert whole.returncode == 0, error

    run = tmp_path / "run"
    first = job(folder, scheduler)
    deadline = time.monotonic() + 300
    while "3" not in losses_in(run / "metrics.csv") and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGUSR1)  # to the batch shell alone, as --signal=B:USR1 says
    out, error = first.communicate(timeout=120)
    assert first.returncode == 143, error
    assert (tmp_path / "requeued").read_text().split() == ["requeue", scheduler["SLURM_JOB_ID"]]
    assert "requeued; goes on in" in out
    assert (run / "checkpoints" / "last.ckpt").is_file() and not (run / "model").exists()

    second = job(folder, {**scheduler, "SLURM_RESTART_COUNT": "1"})
    _, error = second.communicate(timeout=400)
    assert second.returncode == 0, error
    expected = losses_in(tmp_path / "whole" / "metrics.csv")
    assert len(expected) == 14 and losses_in(run / "metrics.csv") == expected
    weights = [at / "model" / "model.safetensors" for at in (run, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert (run / "metrics.json").is_file() and len((tmp_path / "requeued").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("task", "sent", "restarts", "code", "requeued"),
    [
        ("sleep 60", signal.SIGUSR1, 0, 143, True),
        ("sleep 60", signal.SIGUSR1, 3, 143, False),  # as often as MAX_REQUEUES says
        ("sleep 60", signal.SIGTERM, 0, 0, False),  # the shell alone: its step goes on
        ("exit 0", signal.SIGUSR1, 0, 0, False),  # done in time
        ("exit 1", signal.SIGUSR1, 0, 1, False),  # a mistake, which a requeue would repeat
    ],
)
def test_only_a_warning_that_ends_the_run_leads_to_a_requeue(
    tmp_path: Path, scheduler: dict[str, str], task: str, sent: int, restarts: int, code: int, requeued: bool
) -> None:
    """With a task of the shell in place of the training, which ends with 143 on SIGUSR1 as that does."""
    python = tmp_path / "python"
    wait = "sleep 2" if sent == signal.SIGTERM else "sleep 30"
    body, up = "trap 'kill $!; exit 143' USR1; ", f"touch {tmp_path}/up.$SLURM_PROCID"  # up: ready for a signal
    body += f"{wait} & {up}; wait" if task.startswith("sleep") else f"trap : USR1; {up}; sleep 1; {task}"
    python.write_text(f"#!/bin/bash\n{body}\n")
    python.chmod(0o755)
    environment = {**scheduler, "PYTHON": str(python), "SLURM_RESTART_COUNT": str(restarts), "MAX_REQUEUES": "3"}
    process = job(tmp_path, environment)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("up.*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert (tmp_path / "requeued").exists() == requeued
    assert ("requeued 3 times already" in error) == (restarts == 3)
