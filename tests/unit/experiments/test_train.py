"""What a configuration makes of speed and memory, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import experiments.schemas  # noqa: F401
from depictqa.testing import tiny_model
from experiments.train import accelerate

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


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.compile=true"], "trainer.compile needs batches of few shapes; set data.packing=window, or step"),
        (["trainer.recompute=0"], "trainer.recompute is 0; give a whole number of at least 1, or null"),
    ],
)
def test_what_cannot_be_names_the_fix(tokenizer_folder: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accelerate(composed(*overrides), tiny_model(tokenizer_folder))
