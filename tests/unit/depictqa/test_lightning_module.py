"""Training on a tiny model: the steps' losses, what accumulation and validation may not change, what is saved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch.utils._python_dispatch import TorchDispatchMode

from depictqa.batch import Batch, collate, pack
from depictqa.callbacks.checkpoints import Checkpoints
from depictqa.checkpoint import AtomicCheckpointIO, read_checkpoint
from depictqa.lightning_module import DepictQAModule
from depictqa.models.config import LanguageConfig
from depictqa.models.depictqa import DepictQA
from depictqa.optim import OptimizerConfig
from depictqa.testing import mixed_samples, tiny_config, tiny_model, tiny_tokenizer

# Losses of five steps on the five samples of `mixed_samples`, in fp32 on a CPU.
GOLDEN = (5.7651987, 5.5607657, 5.4276557, 5.3387442, 5.2765665)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def lora(tokenizer: Path, dropout: float = 0.5) -> LanguageConfig:
    language = tiny_config(tokenizer).language
    language.tuning, language.lora_rank, language.lora_dropout = "lora", 4, dropout
    return language


class Losses(Callback):
    """Every micro-batch's loss, exactly."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.values.append(outputs["loss"].item() * trainer.accumulate_grad_batches)  # Lightning divided it


class Repeated:
    """A loader that gives the same batches `times` times over."""

    def __init__(self, batches: list[Batch], times: int = 1) -> None:
        self.batches, self.times = batches, times

    def __len__(self) -> int:
        return self.times * len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.times):
            yield from self.batches


def step_batches(model: DepictQA, accumulate: int = 1) -> list[Batch]:
    """`mixed_samples` as one step's micro-batches."""
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
    parts = [encoded[part::accumulate] for part in range(accumulate)]
    return [collate(part, denominator=len(encoded) / accumulate) for part in parts]


def fit(model: DepictQA, folder: Path, num: int = 5, accumulate: int = 1, **options: Any) -> tuple[list[float], Any]:
    model.train()
    losses = Losses()
    callbacks = [losses, *options.pop("callbacks", [])]
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=accumulate, gradient_clip_val=1.0,
        logger=options.pop("logger", False), enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder, callbacks=callbacks,
        plugins=[AtomicCheckpointIO()], **options,
    )  # fmt: skip
    validation = [collate([model.encoder.encode(sample)]) for sample in mixed_samples()]
    module = DepictQAModule(model, OptimizerConfig(lr=3e-3), num)
    trainer.fit(module, Repeated(step_batches(model, accumulate), num), Repeated(validation))
    return losses.values, trainer


class Steps(CSVLogger):
    """Where a training loss was written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.written: list[int] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if "train/loss" in metrics and step is not None:
            self.written.append(step)


@pytest.mark.parametrize(("every", "written"), [(2, [1, 3, 4]), (50, [4])])
def test_the_last_steps_loss_is_written_too(tokenizer: Path, tmp_path: Path, every: int, written: list[int]) -> None:
    steps = Steps(tmp_path)
    fit(tiny_model(tokenizer), tmp_path, accumulate=2, logger=steps, log_every_n_steps=every)
    assert steps.written == written


def test_golden_five_steps(tokenizer: Path, tmp_path: Path) -> None:
    losses, _ = fit(tiny_model(tokenizer), tmp_path)
    assert losses == pytest.approx(GOLDEN, rel=2e-4)


def test_accumulation_does_not_change_the_step(tokenizer: Path, tmp_path: Path) -> None:
    whole, cut = tiny_model(tokenizer), tiny_model(tokenizer)
    losses, _ = fit(whole, tmp_path)
    parts, _ = fit(cut, tmp_path, accumulate=2)
    means = [(a + b) / 2 for a, b in zip(parts[::2], parts[1::2], strict=True)]
    assert means == pytest.approx(losses, rel=1e-5)
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_dropout_does_not_depend_on_validation_in_between(tokenizer: Path, tmp_path: Path) -> None:
    class Disturb(Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            torch.rand(17)

    build = lambda: tiny_model(tokenizer, language=lora(tokenizer))  # noqa: E731
    alone, _ = fit(build(), tmp_path, limit_val_batches=0)
    disturbed, trainer = fit(build(), tmp_path, val_check_interval=2, callbacks=[Disturb()])
    without, _ = fit(tiny_model(tokenizer, language=lora(tokenizer, 0.0)), tmp_path, limit_val_batches=0)
    assert alone == disturbed
    assert alone != without, "the test needs dropout"
    assert set(trainer.callback_metrics) >= {"val/loss", "val/compare/loss", "val/content/loss"}


def test_validation_is_the_mean_over_samples(tokenizer: Path, tmp_path: Path) -> None:
    model = tiny_model(tokenizer)
    _, trainer = fit(model, tmp_path, num=1)
    values = trainer.callback_metrics
    names = [sample.key for sample in mixed_samples()]
    each = [float(values[f"val/{name}/loss"]) for name in names]
    assert float(values["val/loss"]) == pytest.approx(sum(each) / len(each))


def test_a_held_out_loss_that_is_no_number_is_not_left_out(tokenizer: Path, tmp_path: Path) -> None:
    class Spoil(Callback):
        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            with torch.no_grad():
                pl_module.model.projector.linear.weight.fill_(float("nan"))

    _, trainer = fit(tiny_model(tokenizer), tmp_path, num=1, callbacks=[Spoil()])
    assert math.isnan(float(trainer.callback_metrics["val/loss"]))


def test_a_checkpoint_holds_only_what_was_trained(tokenizer: Path, tmp_path: Path) -> None:
    model = tiny_model(tokenizer, language=lora(tokenizer))
    model.vision.requires_grad_(False)
    fit(model, tmp_path, callbacks=[Checkpoints(tmp_path / "checkpoints")])
    for name in ("last.ckpt", "best.ckpt"):
        saved = read_checkpoint(tmp_path / "checkpoints" / name)["state_dict"]
        assert saved and all("lora" in key or key.startswith("projector") for key in saved)
        assert set(saved) == set(model.trained_state_dict())
    assert "optimizer_states" not in read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")


def test_a_checkpoint_of_another_model_is_refused_in_one_line(tokenizer: Path, tmp_path: Path) -> None:
    fit(tiny_model(tokenizer), tmp_path, num=1, callbacks=[Checkpoints(tmp_path)])
    module = DepictQAModule(tiny_model(tokenizer, language=lora(tokenizer)), OptimizerConfig(), 1)
    with pytest.raises(ValueError, match="of another model") as caught:
        module.load_state_dict(read_checkpoint(tmp_path / "last.ckpt")["state_dict"])
    assert "\n" not in str(caught.value)


class Reads(TorchDispatchMode):
    """What of a step would wait for a GPU: operations whose result's shape or value the host must know."""

    SYNCHRONISING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal", "item")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        by_mask = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or name.removesuffix("2") in self.SYNCHRONISING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_nothing_leaves_the_device_in_a_step(tokenizer: Path, tmp_path: Path) -> None:
    model = tiny_model(tokenizer, language=lora(tokenizer)).train()
    module = DepictQAModule(model, OptimizerConfig(), 1)
    module.log = lambda name, value, **_: logged.append(value)  # type: ignore[method-assign,assignment]
    module.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    optimizer = module.configure_optimizers()["optimizer"]
    module.trainer.strategy.optimizers = [optimizer]
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
    batch, padded, logged = pack(encoded, length=512), collate(encoded), list[Any]()
    with Reads() as reads:
        module.on_train_batch_start(batch, 0)
        module.training_step(batch, 0).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert not reads.found
    assert logged and all(isinstance(value, torch.Tensor) for value in logged), "a number is copied to the device"
    with reads:  # a padded one: transformers looks whether positions start anew, once a batch
        module.training_step(padded, 0)
    assert reads.found == ["_local_scalar_dense"]


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_twenty_steps_are_the_same_packed_and_padded(tokenizer: Path, tmp_path: Path, tuning: str) -> None:
    """Losses of 20 steps of two micro-batches, as single samples, padded together, and laid end to end."""

    def curve(cut: str) -> list[float]:
        language = lora(tokenizer, 0.0) if tuning == "lora" else tiny_config(tokenizer).language
        model = tiny_model(tokenizer, language=language)
        encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
        whole = {"samples": [[item] for item in encoded], "padded": [encoded[::2], encoded[1::2]]}
        whole["packed"] = [encoded[:3], encoded[3:]]
        parts, share = whole[cut], len(encoded) / len(whole[cut])
        batches = [pack(p, share, 512, 256) if cut == "packed" else collate(p, share) for p in parts]
        losses = Losses()
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=1, accumulate_grad_batches=len(batches), gradient_clip_val=1.0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, callbacks=[losses],
        )  # fmt: skip
        model.train()
        trainer.fit(DepictQAModule(model, OptimizerConfig(lr=3e-3), 20), Repeated(batches, 20))
        return torch.tensor(losses.values).view(20, -1).mean(1).tolist()

    samples, padded, packed = (curve(cut) for cut in ("samples", "padded", "packed"))
    assert packed[-1] < packed[0] - 0.1, "the test needs a model that learns"
    assert packed == pytest.approx(samples, rel=1e-4) and padded == pytest.approx(samples, rel=1e-4)
