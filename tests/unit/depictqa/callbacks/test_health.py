"""Steps that are no numbers leave no trace in the weights, and one by sample on disk; spikes are told from noise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from depictqa.batch import Batch, collate
from depictqa.callbacks.checkpoints import LAST, Checkpoints
from depictqa.callbacks.health import WARM, Health, RunningLoss
from depictqa.checkpoint import AtomicCheckpointIO, read_checkpoint
from depictqa.lightning_module import DepictQAModule
from depictqa.optim import OptimizerConfig, schedule
from depictqa.testing import mixed_samples, tiny_model


class Module(DepictQAModule):
    """With the optimiser that a GPU has where `fused`: it decides on the device whether a step is made."""

    fused = False

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        made = super().configure_optimizers()
        if self.fused:
            (group,) = made["optimizer"].param_groups
            optimizer = torch.optim.AdamW(group["params"], lr=group["lr"], fused=True)
            scheduler = {"scheduler": schedule(optimizer, self.optimizer_config, 9)}
            made = {"optimizer": optimizer, "lr_scheduler": scheduler}
        return made


class Trace(Callback):
    """Parameters and what the optimiser remembers, after each step."""

    def __init__(self) -> None:
        self.after: list[list[torch.Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            states = [value for state in trainer.optimizers[0].state.values() for value in state.values()]
            self.after.append([value.detach().clone() for value in [*pl_module.model.parameters(), *states]])


class Steps:
    """Steps of two micro-batches on the same samples; the losses of those in `scaled` (by micro-batch) are scaled."""

    def __init__(self, model: Any, num: int, scaled: dict[int, float]) -> None:
        encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
        self.parts, self.num, self.scaled = [encoded[:2], encoded[2:]], num, scaled

    def __len__(self) -> int:
        return 2 * self.num

    def __iter__(self) -> Iterator[Batch]:
        for number in range(len(self)):
            batch = collate(self.parts[number % 2], denominator=2.5)
            batch.weights = batch.weights * self.scaled.get(number, 1.0)
            yield batch


def fit(
    tokenizer: Path, folder: Path, num: int, scaled: dict[int, float], fused: bool = False, **options: Any
) -> Trace:
    trace, model = Trace(), tiny_model(tokenizer).train()
    health = Health(folder / "bad.jsonl", **options)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=2, gradient_clip_val=1.0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[trace, health, Checkpoints(folder, every=1)], plugins=[AtomicCheckpointIO()],
    )  # fmt: skip
    module = Module(model, OptimizerConfig(lr=1e-3), num)
    module.fused = fused
    trainer.fit(module, Steps(model, num, scaled))
    return trace


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "bad.jsonl").read_text().splitlines()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_is_no_number_is_not_made(tokenizer_folder: Path, tmp_path: Path, fused: bool) -> None:
    trace = fit(tokenizer_folder, tmp_path, 5, {4: float("inf")}, fused, max_bad_steps=1)
    assert same(trace.after[1], trace.after[2])
    assert not same(trace.after[0], trace.after[1]) and not same(trace.after[2], trace.after[3])
    assert all(value.isfinite().all() for value in trace.after[-1])
    (line,) = lines(tmp_path)
    assert (line["kind"], line["step"], line["loss"]) == ("not finite", 3, "inf")
    first, second = line["batches"]
    assert first == {"rank": 0, "batch": 4, "loss": "inf", "keys": ["compare", "compare_ref"]}
    assert second["keys"] == ["describe", "reason", "content"] and 0 < second["loss"] < 10


@pytest.mark.parametrize("scale", [float("inf"), 1e37])  # a loss that is infinite; one whose gradient alone is
def test_by_default_it_ends_the_run_and_no_checkpoint_is_from_after_it(
    tokenizer_folder: Path, tmp_path: Path, scale: float
) -> None:
    what = "the loss is inf" if scale == float("inf") else "a gradient is not finite"
    with pytest.raises(ValueError, match=f"^step 3: {what}; its samples are named in .*bad.jsonl; no ") as caught:
        fit(tokenizer_folder, tmp_path, 5, {5: scale})
    assert "\n" not in str(caught.value)
    assert [line["step"] for line in lines(tmp_path)] == [3]
    saved = read_checkpoint(tmp_path / LAST)
    assert saved["global_step"] == 2
    assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_more_than_may_be_skipped_end_the_run(tokenizer_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^step 4"):
        fit(tokenizer_folder, tmp_path, 5, {2: float("nan"), 7: float("nan")}, max_bad_steps=1)
    assert read_checkpoint(tmp_path / LAST)["global_step"] == 3


def test_health_changes_nothing_of_a_good_run_and_does_not_read_from_the_device(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    class Read(TorchDispatchMode):
        names: list[str] = []

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.names.append(func.name())
            return func(*args, **(kwargs or {}))

    class Watched(Health):
        def on_before_optimizer_step(self, *args: Any) -> None:
            with Read():
                super().on_before_optimizer_step(*args)

    model = tiny_model(tokenizer_folder).train()
    trainers = []
    for callbacks in ([Watched(tmp_path / "bad.jsonl")], []):
        model = tiny_model(tokenizer_folder).train()
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=1, accumulate_grad_batches=2, gradient_clip_val=1.0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, callbacks=callbacks,
        )  # fmt: skip
        module = Module(model, OptimizerConfig(lr=1e-3), 4)
        module.fused = True
        trainer.fit(module, Steps(model, 4, {}))
        trainers.append(list(model.parameters()))
    assert same(*trainers)
    assert "aten::isfinite" in Read.names or "aten::abs" in Read.names
    assert not [name for name in Read.names if "local_scalar" in name or "is_nonzero" in name]
    assert not (tmp_path / "bad.jsonl").exists()


def test_a_spike_is_written_down_with_its_samples(tokenizer_folder: Path, tmp_path: Path) -> None:
    at = 2 * (WARM + 4)
    fit(tokenizer_folder, tmp_path, WARM + 8, {at: 40.0, 20: 40.0})  # too early is no spike
    (line,) = lines(tmp_path)
    assert (line["kind"], line["step"]) == ("spike", WARM + 5)
    assert line["loss"] > line["mean"] + 6 * line["deviation"]
    assert [len(batch["keys"]) for batch in line["batches"]] == [2, 3]
    assert line["batches"][0]["loss"] > 10 * line["batches"][1]["loss"]


def test_running_loss_tells_spikes_from_noise_and_from_a_new_level() -> None:
    rng = np.random.default_rng(0)
    falling = 1 + np.exp(-np.arange(2000) / 300) + rng.normal(0, 0.05, 2000)
    running = RunningLoss()
    assert not any(running.add(float(loss), 6.0) for loss in falling)
    assert running.mean == pytest.approx(1.0, abs=0.02) and running.deviation == pytest.approx(0.05, rel=0.3)
    assert running.add(1.5, 6.0) and not running.add(1.02, 6.0) and running.add(1.6, 6.0)
    level = [running.add(float(3 + noise), 6.0) for noise in rng.normal(0, 0.05, 200)]
    assert level[0] and not any(level[50:])


def test_what_it_knows_goes_into_checkpoints(tmp_path: Path) -> None:
    health, other = Health(tmp_path / "bad.jsonl"), Health(tmp_path / "bad.jsonl")
    for loss in (1.0, 2.0, 4.0):
        health.losses.add(loss, 6.0)
    health.bad_steps = 2
    other.load_state_dict(health.state_dict())
    assert (other.bad_steps, other.losses) == (2, health.losses)


@pytest.mark.parametrize(("options", "key"), [({"max_bad_steps": -1}, "max_bad_steps"), ({"spike": 0.0}, "spike")])
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, options: Any, key: str) -> None:
    with pytest.raises(ValueError, match=f"trainer.{key} is"):
        Health(tmp_path / "bad.jsonl", **options)
