"""What a configuration makes of speed and memory, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import DictConfig

import experiments.schemas  # noqa: F401
from depictqa.testing import tiny_model
from experiments.ranks import open_strategy
from experiments.trainer import accelerate, build_trainer

CONF = Path(__file__).resolve().parents[3] / "conf"


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", list(overrides))


def test_nothing_is_changed_unless_asked(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder)
    accelerate(composed(), model)
    assert not model.language.compiled
    assert not any("forward" in vars(layer) for layer in model.language.layers)


def test_layers_are_compiled_and_computed_again_where_asked(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder)
    accelerate(composed("data.packing=window", "trainer.compile=true", "trainer.recompute=2"), model)
    assert model.language.compiled
    assert all("forward" in vars(layer) for layer in model.language.layers)
    assert all("forward" in vars(block) for block in model.vision.trunk.transformer.resblocks)


def test_lightning_asks_no_device_for_signals(tmp_path: Path) -> None:
    """By a method that is Lightning's own business: where it has another name, this is to be looked at again."""
    trainer = build_trainer(composed("logger=csv", "trainer=cpu"), tmp_path)
    loop = trainer.fit_loop.epoch_loop
    assert hasattr(type(loop), "_broadcast_sigterm_tensor")
    assert loop._broadcast_sigterm_tensor() is None and "_broadcast_sigterm_tensor" in vars(loop)


def test_a_strategy_is_a_name_or_a_class_with_arguments() -> None:
    pytest.importorskip("deepspeed")
    assert open_strategy(composed().trainer.strategy) == "auto"
    opened = open_strategy(composed("trainer=deepspeed", "trainer.strategy.stage=2").trainer.strategy)
    zero = opened.config["zero_optimization"]
    assert (opened.stage, zero["stage"], opened.splits_parameters) == (2, 2, False)
    assert not open_strategy(
        composed("trainer=fsdp2", "trainer.strategy.reshard_after_forward=false").trainer.strategy
    ).reshard_after_forward
    with pytest.raises(
        InstantiationException, match=r"ZeRO stage 4 unknown; choose 1, 2 or 3 \(trainer.strategy.stage"
    ):
        open_strategy(composed("trainer=deepspeed", "trainer.strategy.stage=4").trainer.strategy)


def test_deepspeed_without_a_gpu_names_what_goes() -> None:
    pytest.importorskip("deepspeed")
    from lightning.pytorch.accelerators import CPUAccelerator

    opened = open_strategy(composed("trainer=deepspeed").trainer.strategy)
    opened.accelerator = CPUAccelerator()
    with pytest.raises(ValueError, match="needs GPUs; without them, take trainer=ddp or fsdp2"):
        opened.setup_environment()


def test_without_deepspeed_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from depictqa.strategies import deepspeed

    monkeypatch.setattr(deepspeed, "_DEEPSPEED_AVAILABLE", False)
    with pytest.raises(ValueError, match=r"install the extra: pip install 'depictqa\[deepspeed\]'"):
        deepspeed.DeepSpeed()
