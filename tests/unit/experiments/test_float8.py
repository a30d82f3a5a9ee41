"""`trainer.float8`: trains where it changes little, refuses where it does not, and leaves no trace in what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import experiments.schemas  # noqa: F401
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.models.depictqa import DepictQA
from depictqa.models.float8 import Float8Linear
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import random_image
from experiments.float8 import check
from experiments.train import train

CONF = Path(__file__).resolve().parents[3] / "conf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """Shards, and a language model's folder with weights."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    out = tmp_path_factory.mktemp("language")
    for split in ("train", "val", "test"):
        with ShardWriter(out / "shards", split, source="made", licence="CC0-1.0", seed=1) as writer:
            for number in range(4):
                images = {slot: random_image((48, 40), 3 * number + place) for place, slot in enumerate(Slot)}
                turn = Turn("Which image is better?", "Image B")
                sample = RecordSample(Task.COMPARISON, tuple(Slot), (turn,), Truth(better=Slot.B))
                writer.write(Record(f"{number:04d}", images, (sample,), f"{split} {number}"))
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, **sizes))
    for each in (model, tokenizer):
        each.save_pretrained(out / "llm")
    with torch.no_grad():  # the same function, but one column of a matrix takes the range of all its rows
        for layer in model.model.layers:
            layer.post_attention_layernorm.weight[3] /= 2**20
            layer.input_layernorm.weight[3] /= 2**20
            for linear in (*(getattr(layer.self_attn, f"{name}_proj") for name in "qkv"), layer.mlp.gate_proj):
                linear.weight[:, 3] *= 2**20
            layer.mlp.up_proj.weight[:, 3] *= 2**20
    for each in (model, tokenizer):
        each.save_pretrained(out / "outliers")
    return out


def composed(folder: Path, language: str, *overrides: str) -> DictConfig:
    words = ["data=templated", f"data.root={folder}/shards", "data.crop=false", "scale.synthetic=null", "trainer=cpu"]
    words += [f"model.language.path={folder}/{language}", "model.language.architecture=null"]
    words += ["model.language.tokenizer=null", "model.language.tuning=lora", "logger=csv", "data.batch_size=4"]
    words += ["trainer.num_examples=0", "trainer.validations_per_epoch=1", "trainer.float8.enabled=true"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", [*words, *overrides])


def test_a_model_trained_with_it_is_saved_and_opened_without(folder: Path, tmp_path: Path, capsys: Any) -> None:
    model, metrics, _ = train(composed(folder, "llm"), tmp_path)
    assert "float8: on 4 training samples the loss changes by " in capsys.readouterr().out
    assert metrics["train/steps"] == 1
    assert 0 < metrics["float8/loss_change"] < 0.01 and 0.95 < metrics["float8/cosine"] < 1
    assert "float8" not in (tmp_path / "model" / "config.json").read_text()
    assert not any(isinstance(module, Float8Linear) for module in model.modules()), "what is evaluated"
    again = DepictQA.from_pretrained(tmp_path / "model").trained_state_dict()
    assert any(value.any() for name, value in again.items() if "lora_B" in name), "the adapters have learned"


def test_weights_that_it_changes_too_much_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"float8 (changes the loss|leaves gradients).*trainer.float8.m") as refused:
        train(composed(folder, "outliers"), tmp_path)
    assert "set trainer.float8.enabled=false, or allow more" in str(refused.value)
    assert not (tmp_path / "model").exists()
    train(composed(folder, "outliers", "trainer.float8.enabled=false"), tmp_path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.float8.samples=0", "trainer.float8.samples is 0; give at least 1"),
        ("trainer=fsdp2", "trainer.float8 goes with trainer=gpu and ddp"),
        ("model.language.tuning=full", "trainer.float8 is for frozen weights of a language model that is read"),
        ("model.language.path=null", "trainer.float8 is for frozen weights of a language model that is read"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_opened(folder: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(composed(folder, "llm", override))
