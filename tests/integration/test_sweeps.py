"""`run.py -m` as a person calls it: each job a run of its own, which fails, is cut and goes on without the others."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from datamodules.sources import synthetic
from depictqa.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"num_templated": 40, "num_identification": 10, "num_detailed": 40, "num_external": 16,
         "num_val": 6, "num_test": 6, "vocab_size": 400}  # fmt: skip


def sweep(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), "-m", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})


def states(folder: Path) -> list[str]:
    return [job["state"] for job in yaml.safe_load((folder / "jobs.yaml").read_text())["jobs"]]


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A training of seconds."""
    data = synthetic.build(tmp_path_factory.mktemp("sweep") / "data", crop_size=40, functions_per_class=1, **SMALL)
    return [
        *(f"scale.synthetic.{name}={value}" for name, value in SMALL.items()), f"paths.data={data}",
        "model.language.architecture.num_hidden_layers=1", "trainer=cpu", "trainer.threads=1",
        "trainer.validations_per_epoch=1", "trainer.num_examples=0", "trainer.checkpoint_every=1",
        "data.batch_size=8", "evaluation.limit=1", "evaluation.max_new_tokens=2", "baseline=[]", "logger=csv",
    ]  # fmt: skip


def test_a_failed_job_stops_nobody_and_is_run_again_alone(tmp_path, write_run):
    for name in ("b", "c d"):
        write_run(tmp_path / "from" / name, num=2)
    (tmp_path / "from" / "b" / "results").rename(tmp_path / "later")
    words = ["program=evaluate", "evaluation.results=from/b,'from/c d'", "logger=csv", "hydra.sweep.dir=s"]
    done = sweep(tmp_path, *words)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "1 of 2 jobs finished: s/jobs.yaml" in done.stdout
    failed, again = done.stderr.splitlines()[-2:]
    assert failed.startswith("failed: s/0 (evaluation.results=from/b): ") and "from/b" in failed.partition("): ")[2]
    assert again == "to run what is missing: python run.py -m resume=s"
    assert states(tmp_path / "s") == ["failed", "finished"]
    assert (tmp_path / "s" / "0" / "log.txt").read_text().startswith("error: ")
    before = (tmp_path / "s" / "1" / "metrics.json").stat().st_mtime_ns
    assert not (tmp_path / "s" / "0" / "metrics.json").exists()

    (tmp_path / "later").rename(tmp_path / "from" / "b" / "results")
    done = sweep(tmp_path, "resume=s")
    assert done.returncode == 0, done.stderr
    assert states(tmp_path / "s") == ["finished"] * 2
    assert (tmp_path / "s" / "1" / "metrics.json").stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "s"]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["0", "1", "jobs.yaml", "multirun.yaml"]
    groups = {yaml.safe_load((tmp_path / "s" / name / "config.yaml").read_text())["logger"]["group"] for name in "01"}
    assert groups == {"s"}  # in W&B


@pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_sweep_that_is_stopped_says_what_runs_the_rest(tmp_path, write_run, which, code):
    write_run(tmp_path / "from", num=2)
    words = ["program=evaluate", "evaluation.results=from", "seed=1,2", "hydra.sweep.dir=s"]
    command = [sys.executable, str(ROOT / "run.py"), "-m", *words]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "s" / "0" / "job.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(which)
    told, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "0 of 2 jobs finished: s/jobs.yaml" in told
    assert said.splitlines()[-2:] == [
        "cut: s/0 (seed=1): stopped",
        "to run what is missing: python run.py -m resume=s",
    ]
    assert states(tmp_path / "s") == ["cut", "waiting"]


def test_a_job_that_still_runs_is_left_to_whoever_runs_it(tmp_path, write_run):
    write_run(tmp_path / "from", num=2)
    job = tmp_path / "s" / "0"
    job.mkdir(parents=True)
    with open(job / "log.txt", "w") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        (job / "job.yaml").write_text("state: started\noverrides: [seed=1]\n")
        done = sweep(tmp_path, "program=evaluate", "evaluation.results=from", "seed=1,2", "hydra.sweep.dir=s")
    assert done.returncode == 1 and "s/0 is run by another process; left to it" in done.stdout
    assert states(tmp_path / "s") == ["started", "finished"]
    assert sorted(path.name for path in job.iterdir()) == ["job.yaml", "log.txt"]


@pytest.mark.parametrize(
    ("launcher", "module", "options"),
    [
        ("joblib", "joblib", ["hydra.launcher.n_jobs=2"]),
        ("submitit_local", "submitit", ["hydra.launcher.timeout_min=5"]),
        ("ray", "ray", ["+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false"]),
    ],
)
def test_jobs_side_by_side(tmp_path, write_run, launcher, module, options):
    pytest.importorskip(module)
    write_run(tmp_path / "from", num=2)
    words = ["program=evaluate", "evaluation.results=nowhere,from", f"hydra/launcher={launcher}", *options]
    done = sweep(tmp_path, *words, "hydra.sweep.dir=s")
    assert done.returncode == 1, done.stderr
    assert "failed: s/0 (evaluation.results=nowhere): 'nowhere'" in done.stderr
    assert states(tmp_path / "s") == ["failed", "finished"]
    assert json.loads((tmp_path / "s" / "1" / "metrics.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "s"]


def test_a_search_is_given_the_objective(tmp_path, write_run):
    pytest.importorskip("optuna")
    for seed, name in enumerate("ab"):
        write_run(tmp_path / "from" / name, seed, num=8)
    objective = "test/comparison/full_reference/accuracy"
    words = ["program=evaluate", "evaluation.results=choice(from/a,from/b,nowhere)", f"objective={objective}"]
    options = ["sweeper=optuna", "sweeper/sampler=grid"], ["n_trials=3", "direction=maximize", "max_failure_rate=1"]
    more = [f"hydra/{word}" for word in options[0]] + [f"hydra.sweeper.{word}" for word in options[1]]
    done = sweep(tmp_path, *words, *more, "hydra.sweep.dir=s")
    assert done.returncode == 1 and "(evaluation.results=nowhere): 'nowhere'" in done.stderr
    assert sorted(states(tmp_path / "s")) == ["failed", "finished", "finished"]
    found = [json.loads(path.read_text())[objective] for path in (tmp_path / "s").glob("*/metrics.json")]
    assert yaml.safe_load((tmp_path / "s" / "optimization_results.yaml").read_text())["best_value"] == max(found)


def test_another_command_does_not_go_on_with_a_sweep(tmp_path):
    (tmp_path / "jobs.yaml").write_text("arguments: [seed=1]\nparams: {}\njobs: []\n")
    done = sweep(tmp_path, "seed=2", "resume=.")
    assert done.returncode == 1
    assert done.stderr == "error: sweep '.' was not started with seed=2; leave it out, or start a new one (resume)\n"


@pytest.mark.slow
def test_a_cut_sweep_goes_on_at_its_checkpoint_and_starts_what_never_began(tmp_path, training):
    words = [*training, "trainer.max_steps=10", "seed=1,2", "hydra.sweep.dir=s"]
    command = [sys.executable, str(ROOT / "run.py"), "-m", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "s" / "0" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 240
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    assert states(tmp_path / "s") == ["cut", "waiting"]
    assert "stopped; go on with resume=" in (tmp_path / "s" / "0" / "log.txt").read_text()
    assert 0 < read_checkpoint(checkpoint)["global_step"] < 10

    done = sweep(tmp_path, "resume=s")
    assert done.returncode == 0, done.stderr
    assert states(tmp_path / "s") == ["finished"] * 2
    for name in ("0", "1"):
        assert json.loads((tmp_path / "s" / name / "metrics.json").read_text())["train/steps"] == 10
    assert ["resume: s/0" in (tmp_path / "s" / name / "config.yaml").read_text() for name in "01"] == [True, False]


@pytest.mark.slow
def test_each_job_of_two_processes_has_one_folder(tmp_path, training):
    words = [*training, "trainer.max_steps=2", "trainer.devices=2", "trainer.strategy=ddp", "hydra.sweep.dir=s"]
    done = sweep(tmp_path, *words, "seed=1,2")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["0", "1", "jobs.yaml", "multirun.yaml"]
    for seed, name in ((1, "0"), (2, "1")):
        metrics = json.loads((tmp_path / "s" / name / "metrics.json").read_text())
        assert metrics["train/steps"] == 2
        config = yaml.safe_load((tmp_path / "s" / name / "config.yaml").read_text())
        assert (config["seed"], config["trainer"]["devices"]) == (seed, 2)
        log = (tmp_path / "s" / name / "log.txt").read_text()
        assert log.count("step 2/2") == 1 and log.count("evaluated loss") == 1  # ranks were started once


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_says_so(tmp_path, training):
    words = [*training, "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=200", "hydra.run.dir=run"]
    command = [sys.executable, str(ROOT / "run.py"), *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [int(child) for child in children if b"run.py" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.splitlines()[-1] == "error: process 1 of 2 was ended by SIGKILL, and the others with it"
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)
