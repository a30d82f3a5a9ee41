"""The main command, with small numbers: it builds its data, trains, evaluates and leaves a folder that opens."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from depictqa.checkpoint import read_checkpoint
from depictqa.models.depictqa import DepictQA

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    *(f"scale.synthetic.{name}={value}" for name, value in {
        "num_templated": 40, "num_identification": 10, "num_detailed": 40,
        "num_external": 16, "num_val": 6, "num_test": 6, "vocab_size": 400,
    }.items()),
    "trainer.max_steps=4", "trainer.validations_per_epoch=6",
    "trainer.log_every=1", "trainer.progress_every=0", "trainer.num_examples=2",
    "trainer.example_tokens=8", "trainer.early_stopping.patience=5", "trainer.keep=best", "trainer.threads=1",
    "data.batch_size=16", "evaluation.max_new_tokens=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("home")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "experiment=full_mix", *SMALL],
        cwd=folder, capture_output=True, text=True, env={**environment, "NETRC": str(folder / "no-netrc")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs" / "full_mix").iterdir()
    return done, run


def test_the_last_lines_name_what_the_run_left(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, run = done
    last = process.stdout.splitlines()[-7:]
    names = ["config.yaml", "metrics.json", "metrics.csv", "model", "checkpoints", "results", "wandb"]
    assert [line.split()[0] for line in last] == names
    assert all((run.parents[2] / line.split()[1]).exists() for line in last)
    assert "tokens/s" in process.stdout and "left" in process.stdout
    assert "Traceback" not in process.stderr


def test_the_run_says_what_it_was_and_how_it_went(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, run = done
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["paths"]["data"].startswith("data/tiny-")
    assert "${" not in (run / "config.yaml").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["train/steps"] == 4
    for name in (
        "train/loss",
        "val/loss",
        "val/detailed/loss",
        "test/comparison/accuracy",
        "peak_memory_gb",
        "seconds",
    ):
        assert isinstance(metrics[name], float), name
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["train/loss"]] == ["0", "1", "2", "3"]
    assert {"train/lr", "train/tokens_per_second", "val/loss", "data/skipped"} <= set(rows[0])


def test_examples_and_results_are_lines_of_json(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, run = done
    examples = [json.loads(line) for line in (run / "examples.jsonl").read_text().splitlines()]
    assert len(examples) % 2 == 0 and examples
    assert set(examples[0]) == {"step", "key", "task", "question", "answer", "truth"}
    for name in ("comparison", "description", "reasoning", "loss"):
        lines = (run / "results" / f"{name}.jsonl").read_text().splitlines()
        assert lines and all(json.loads(line)["key"] for line in lines)


def test_wandb_is_offline_and_holds_the_table(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, run = done
    (offline,) = (run / "wandb").glob("offline-run-*")
    tables = list(offline.glob("files/media/table/examples*.table.json"))
    assert tables
    columns = json.loads(tables[0].read_text())["columns"]
    assert columns == ["key", "task", "reference", "a", "b", "question", "answer", "truth"]
    staged = [path.read_bytes()[:4] for path in (run / "wandb" / "artifacts" / "staging").iterdir()]
    assert b"\x89PNG" in staged


def test_the_model_opens_and_the_best_one_was_kept(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, run = done
    model = DepictQA.from_pretrained(run)
    best = read_checkpoint(run / "checkpoints" / "best.ckpt")["state_dict"]
    assert all((value == best[name]).all() for name, value in model.trained_state_dict().items())
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 4
