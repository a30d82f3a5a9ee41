"""A run that is killed and resumed gives, to the last bit, the losses and weights of one that was not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image

from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from datamodules.templated import TemplatedDataModule
from depictqa.callbacks import BEST
from depictqa.callbacks.checkpoints import LAST, Checkpoints
from depictqa.callbacks.early_stopping import EarlyStopping
from depictqa.checkpoint import AtomicCheckpointIO, read_checkpoint
from depictqa.lightning_module import DepictQAModule
from depictqa.optim import OptimizerConfig
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import tiny_config, tiny_model, tiny_tokenizer

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer and shards: 13 training records with two samples each, a few held out."""
    out = tmp_path_factory.mktemp("resume")
    tiny_tokenizer(out / "tokenizer")
    for split, numbers in (("train", range(13)), ("val", range(100, 103)), ("test", range(200, 203))):
        with ShardWriter(
            out / "shards", split, source="made", licence="CC0-1.0", seed=1, records_per_shard=5
        ) as writer:
            for number in numbers:
                writer.write(record(number))
    return out


def record(number: int) -> Record:
    rng = np.random.default_rng(number)
    sizes = [(40, 30), (40, 30), (64, 48)]
    images = {
        slot: Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))
        for slot, (w, h) in zip(Slot, sizes, strict=True)
    }
    dialogue = (Turn("Which image is better?", "Image A" if number % 2 else "Image B, since A shows noise."),)
    truth = Truth(better=Slot.A if number % 2 else Slot.B)
    samples = tuple(
        RecordSample(Task.COMPARISON, slots, dialogue, truth)
        for slots in ((Slot.REFERENCE, Slot.A, Slot.B), (Slot.A, Slot.B))
    )
    return Record(f"{number:04d}", images, samples, reference=f"photo{number}")


class Killed(Exception):
    pass


class Watch(Callback):
    """Every micro-batch's exact loss by its number; raises before batch `kill_at`, as a kill would."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.losses: dict[int, float] = {}
        self.kill_at = kill_at

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx == self.kill_at:
            raise Killed

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses[trainer.fit_loop.total_batch_idx] = outputs["loss"].item()


def train(
    folder: Path, out: Path, resume: bool = False, kill_at: int | None = None, num_workers: int = 0, budget: int = 800,
    every: int = 3, extra: list[Callback] | None = None, packing: str = "none", ranks: int = 1, dropout: float = 0.3,
    between: int = 3, steps: int = -1,
) -> tuple[dict[int, float], Any, L.Trainer]:  # fmt: skip
    language = tiny_config(folder / "tokenizer").language
    language.tuning, language.lora_rank, language.lora_dropout = "lora", 4, dropout
    model = tiny_model(folder / "tokenizer", language=language).train()
    data = TemplatedDataModule(
        folder / "shards", model.encoder, batch_size=4, token_budget=budget, num_workers=num_workers, epochs=EPOCHS,
        packing=packing,
    )  # fmt: skip
    data.setup("fit", ranks, int(os.environ.get("LOCAL_RANK", 0)))
    watch = Watch(kill_at)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=EPOCHS, accumulate_grad_batches=data.accumulate, gradient_clip_val=1.0,
        val_check_interval=between * data.accumulate, max_steps=steps, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=out,
        plugins=[AtomicCheckpointIO()], callbacks=[watch, Checkpoints(out, every), *(extra or [])], devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
    )  # fmt: skip
    module = DepictQAModule(model, OptimizerConfig(lr=3e-3), data.steps_per_epoch * EPOCHS)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=out / LAST if resume else None, weights_only=True)
    except (Killed, SystemExit):
        pass
    return watch.losses, model, trainer


@pytest.mark.parametrize(
    ("num_workers", "budget", "every", "kill_at"),
    [
        (0, 800, 1, 2),  # mid-epoch, right after a checkpoint
        (2, 800, 2, 3),  # with workers that have read ahead; one step is made again
        (0, 800, 3, 6),  # right after a checkpoint and a validation
        (0, 800, 1, 7),  # at the end of the first epoch
        (2, 800, 1, 9),  # in the second epoch
        (2, 400, 2, 9),  # between two micro-batches of a step
    ],
)
def test_losses_after_a_kill_are_those_of_an_unbroken_run(
    folder: Path, tmp_path: Path, num_workers: int, budget: int, every: int, kill_at: int
) -> None:
    whole, model, trainer = train(folder, tmp_path / "whole", budget=budget, every=every)
    accumulate = trainer.accumulate_grad_batches
    assert accumulate == (1 if budget == 800 else 2), accumulate
    assert len(whole) == 7 * EPOCHS * accumulate
    before, _, _ = train(folder, tmp_path / "cut", kill_at=kill_at, num_workers=num_workers, budget=budget, every=every)
    assert before == {number: whole[number] for number in range(kill_at)}
    after, resumed, _ = train(
        folder, tmp_path / "cut", resume=True, num_workers=num_workers, budget=budget, every=every
    )
    assert after, "nothing was trained after resuming"
    start = min(after)
    assert kill_at - every * accumulate <= start <= kill_at
    assert after == {number: whole[number] for number in range(start, len(whole))}
    for a, b in zip(model.trained_state_dict().values(), resumed.trained_state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("packing", "kill_at"), [("step", 9), ("window", 4), ("window", 11)])
def test_a_run_of_packs_goes_on_as_unbroken(folder: Path, tmp_path: Path, packing: str, kill_at: int) -> None:
    options: dict[str, Any] = {"packing": packing, "budget": 300, "every": 1}
    whole, model, trainer = train(folder, tmp_path / "whole", **options)
    assert trainer.accumulate_grad_batches > 1 and len(whole) > kill_at + 2
    train(folder, tmp_path / "cut", kill_at=kill_at, num_workers=2, **options)
    after, resumed, _ = train(folder, tmp_path / "cut", resume=True, **options)
    assert 0 < min(after) <= kill_at
    assert after == {number: whole[number] for number in range(min(after), len(whole))}
    for a, b in zip(model.trained_state_dict().values(), resumed.trained_state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_workers_do_not_change_the_losses(folder: Path, tmp_path: Path) -> None:
    alone, _, _ = train(folder, tmp_path / "0")
    shared, _, _ = train(folder, tmp_path / "2", num_workers=2)
    assert alone == shared


class Validations(Callback):
    """The loss of each by its step; raises in the one at step `kill_at`, or as soon as it is `over`."""

    def __init__(self, kill_at: int | None = None, over: bool = False) -> None:
        self.losses: dict[int, float] = {}
        self.kill_at, self.over = kill_at, over

    def on_validation_batch_start(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.kill_at and not self.over:
            raise Killed

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.losses[trainer.global_step] = float(trainer.callback_metrics["val/loss"])
        if trainer.global_step == self.kill_at:
            raise Killed


@pytest.mark.parametrize(
    ("options", "kill_at", "over"),
    [
        ({}, 3, False),
        ({}, 6, True),  # its outcome is in no checkpoint
        ({"between": 7}, 7, False),  # at the end of an epoch
        ({"between": 7}, 14, False),  # at the end of the run
        ({"steps": 10}, 10, False),  # the same, in the middle of an epoch
        ({"budget": 400}, 3, False),
    ],
)
def test_a_validation_that_was_cut_is_made_again(
    folder: Path, tmp_path: Path, options: dict[str, Any], kill_at: int, over: bool
) -> None:
    whole, cut, after = Validations(), Validations(kill_at, over), Validations()
    losses, model, trainer = train(folder, tmp_path / "whole", extra=[whole], **options)
    before, _, _ = train(folder, tmp_path / "cut", extra=[cut], **options)
    later, resumed, _ = train(folder, tmp_path / "cut", resume=True, extra=[after], **options)
    assert kill_at in whole.losses and min(after.losses) == kill_at
    assert cut.losses | after.losses == whole.losses and before | later == losses
    assert not before.keys() & later.keys(), "no step is made twice"
    best = [read_checkpoint(tmp_path / name / BEST)["global_step"] for name in ("whole", "cut")]
    assert best[0] == best[1]
    for a, b in zip(model.trained_state_dict().values(), resumed.trained_state_dict().values(), strict=True):
        assert torch.equal(a, b)


class Worse(Callback):
    """No validation is better than the one before."""

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.log("worse", float(trainer.global_step))


def test_a_run_that_stopped_early_stays_stopped_unless_it_has_more_patience(folder: Path, tmp_path: Path) -> None:
    def stopping(patience: int) -> list[Callback]:
        return [Worse(), EarlyStopping("worse", patience=patience)]

    losses, model, _ = train(folder, tmp_path, extra=stopping(1))
    assert len(losses) == 6, "it stopped at the second validation"
    again, resumed, _ = train(folder, tmp_path, resume=True, extra=stopping(1))
    assert again == {}
    for a, b in zip(model.trained_state_dict().values(), resumed.trained_state_dict().values(), strict=True):
        assert torch.equal(a, b)
    more, _, _ = train(folder, tmp_path, resume=True, extra=stopping(2))
    assert min(more) == 6 and len(more) == 3


class Terminate(Callback):
    """A signal to this very process in the middle of a batch."""

    def __init__(self, at: int, how: signal.Signals) -> None:
        self.at, self.how = at, how

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if trainer.fit_loop.total_batch_idx == self.at:
            os.kill(os.getpid(), self.how)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_a_checkpoint_of_that_very_step(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        ends_with_a_checkpoint_of_that_very_step(folder, tmp_path, how)
    finally:
        signal.signal(signal.SIGINT, before)


def ends_with_a_checkpoint_of_that_very_step(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    whole, _, _ = train(folder, tmp_path / "whole")
    before, _, _ = train(folder, tmp_path / "cut", every=1000, num_workers=2, extra=[Terminate(4, how)])
    assert max(before) == 4
    assert read_checkpoint(tmp_path / "cut" / LAST)["global_step"] == 5
    after, _, _ = train(folder, tmp_path / "cut", resume=True)
    assert {**before, **after} == whole
    assert min(after) == 5


def test_resuming_with_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path, kill_at=3, every=1)
    with pytest.raises(ValueError, match="checkpoint's data position") as caught:
        train(folder, tmp_path, resume=True, budget=400, packing="window")
    assert "\n" not in str(caught.value)


def test_a_finished_run_has_nothing_to_add(folder: Path, tmp_path: Path) -> None:
    _, model, _ = train(folder, tmp_path)
    losses, again, _ = train(folder, tmp_path, resume=True)
    assert losses == {}
    for a, b in zip(model.trained_state_dict().values(), again.trained_state_dict().values(), strict=True):
        assert torch.equal(a, b)


# The same through the command line: the process is killed, and `resume=RUN_DIR` goes on.


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, str(ROOT / "run.py"), "data=templated", "scale.synthetic=null", f"data.root={folder}/shards",
        f"model.language.tokenizer={folder}/tokenizer", f"hydra.run.dir={out}", "logger=csv", "data.batch_size=4",
        "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=2", "trainer.log_every=1",
        "trainer.checkpoint_every=2", "trainer.validations_per_epoch=2", "trainer.num_examples=1",
        "evaluation.max_new_tokens=8", "baseline=[]", *more,
    ]  # fmt: skip


def losses_in(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["step"]: row["train/loss"] for row in csv.DictReader(file) if row.get("train/loss")}


def stop_after(
    step: int, how: signal.Signals, arguments: list[str], out: Path, environment: dict[str, str] | None = None
) -> int:
    """Starts a run, sends a signal to all its processes once `step` is logged, as a cluster does; its exit code."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=out.parent, start_new_session=True,
        env={**os.environ, **(environment or {})},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while str(step) not in losses_in(out / "metrics.csv") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, how)
    _, error = process.communicate(timeout=60)
    assert str(step) in losses_in(out / "metrics.csv"), error.decode()
    return process.returncode


@pytest.fixture(scope="module")
def unbroken(folder: Path) -> Path:
    """The run that is not killed, without workers."""
    subprocess.run(command(folder, folder / "unbroken"), check=True, capture_output=True, cwd=folder)
    return folder / "unbroken"


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)],
)
def test_a_killed_command_is_resumed(
    folder: Path, unbroken: Path, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    cut = tmp_path / "cut"
    assert stop_after(3, how, command(folder, cut, "data.num_workers=2"), cut) == code
    assert not (cut / "model").exists()
    refused = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), f"resume={cut}", "seed=7"], capture_output=True, text=True, cwd=tmp_path
    )
    assert refused.returncode == 1 and "has another seed; leave seed= out" in refused.stderr
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), f"resume={cut}"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    expected = losses_in(unbroken / "metrics.csv")
    assert len(expected) == 14
    assert losses_in(cut / "metrics.csv") == expected
    assert (cut / "model" / "model.safetensors").read_bytes() == (unbroken / "model" / "model.safetensors").read_bytes()


def test_a_run_that_was_cut_in_its_evaluation_keeps_what_it_had(unbroken: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(unbroken, cut)
    (cut / "metrics.json").unlink()
    (cut / "results" / "loss.jsonl").unlink()
    config = (cut / "config.yaml").read_text()
    resume = [sys.executable, str(ROOT / "run.py"), f"resume={cut}"]
    for word in ("trainer.spike=-1", "data.batch_size=2"):
        refused = subprocess.run([*resume, word], capture_output=True, text=True, cwd=tmp_path)
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1, refused.stderr
        assert (cut / "config.yaml").read_text() == config
    done = subprocess.run(resume, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "evaluated loss" in done.stdout and "evaluated comparison" not in done.stdout
    whole, again = (json.loads((one / "metrics.json").read_text()) for one in (unbroken, cut))
    for name in ("seconds", "train/seconds", "peak_memory_gb", "train/tokens_per_second"):
        del whole[name], again[name]
    assert again == whole
    other = subprocess.run([*resume, "evaluation.max_new_tokens=2"], capture_output=True, text=True, cwd=tmp_path)
    assert other.returncode == 0 and "evaluated comparison" in other.stdout


def test_a_slurm_job_is_not_requeued_behind_the_scripts_back(folder: Path, tmp_path: Path) -> None:
    """In a job step, Lightning by itself would save a checkpoint of its own on SIGUSR1, and call scontrol."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    scontrol.chmod(0o755)
    step = {name: "0" for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")}
    step |= {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NNODES": "1"}
    environment = {**step, "PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    assert stop_after(3, signal.SIGUSR1, command(folder, tmp_path / "cut"), tmp_path / "cut", environment) == 143
    assert not (tmp_path / "called").exists()
    assert (tmp_path / "cut" / "checkpoints" / LAST).is_file() and not list((tmp_path / "cut").rglob("hpc_ckpt*"))
