"""The whole command on two processes that split the model's parameters: training, answers, evaluation."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.strategies import write_data

ROOT = Path(__file__).resolve().parents[3]


def command(folder: Path, out: Path, *more: str) -> None:
    given = [
        "data=templated", "scale.synthetic=null", f"data.root={folder}/shards", "data.batch_size=4",
        f"model.language.tokenizer={folder}/tokenizer", f"hydra.run.dir={out}", "logger=csv", "baseline=[]",
        "trainer.accelerator=cpu", "trainer.threads=1", "trainer.log_every=1", "trainer.validations_per_epoch=2",
        "trainer.num_examples=1", "evaluation.max_new_tokens=8", *more,
    ]  # fmt: skip
    done = subprocess.run([sys.executable, str(ROOT / "run.py"), *given], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_on_two_processes_is_that_of_one(tmp_path: Path) -> None:
    write_data(tmp_path)
    command(tmp_path, tmp_path / "one", "trainer=cpu")
    command(tmp_path, tmp_path / "two", "trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=2")
    losses = {}
    for name in ("one", "two"):
        with (tmp_path / name / "metrics.csv").open(newline="") as file:
            losses[name] = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert len(losses["one"]) == 7
    assert losses["two"] == pytest.approx(losses["one"], abs=1e-5)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    measured = [name for name in one if name.startswith(("test/", "val/"))]
    assert {"val/loss"} < set(measured)
    assert {name: two[name] for name in measured} == pytest.approx({name: one[name] for name in measured}, abs=1e-5)
