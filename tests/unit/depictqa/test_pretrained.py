"""A saved model opens as it was, says what is wrong where it cannot, and is never half-written."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from depictqa.models.config import LanguageConfig, ModelConfig
from depictqa.models.depictqa import DepictQA
from depictqa.pretrained import open_checkpoint
from depictqa.testing import mixed_samples, tiny_config, tiny_model


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> DepictQA:
    return tiny_model(tokenizer_folder)


def test_round_trip(model: DepictQA, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "run" / "model")
    for path in (tmp_path / "run", tmp_path / "run" / "model"):
        opened = open_checkpoint(path)
        assert opened.answer(mixed_samples(), 6) == model.answer(mixed_samples(), 6)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["model"]


def test_others_may_read_what_they_may_read_elsewhere(model: DepictQA, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "beside").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "model").iterdir() if path.is_file()}
    assert modes == {(tmp_path / "beside").stat().st_mode}


def test_saved_again_over_an_older_one(model: DepictQA, tmp_path: Path, tokenizer_folder: Path) -> None:
    tiny_model(tokenizer_folder, seed=1).save_pretrained(tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    assert DepictQA.from_pretrained(tmp_path / "model").answer(mixed_samples(), 4) == model.answer(mixed_samples(), 4)


def test_lora_saves_only_what_was_trained(tokenizer_folder: Path, tmp_path: Path) -> None:
    """LoRA on a base folder: the base is named with its hash, and another base is refused."""
    base = tmp_path / "base"
    full = tiny_model(tokenizer_folder)
    full.language.model.save_pretrained(base)
    language = LanguageConfig(path=str(base), tokenizer=str(tokenizer_folder), lora_rank=2)
    model = tiny_model(tokenizer_folder, language=language)
    model.save_pretrained(tmp_path / "model")
    names = load_file(tmp_path / "model" / "model.safetensors")
    assert names and all("lora" in name or name.startswith(("projector.", "vision.")) for name in names)
    assert DepictQA.from_pretrained(tmp_path / "model").answer(mixed_samples(), 4) == model.answer(mixed_samples(), 4)
    tiny_model(tokenizer_folder, seed=5).language.model.save_pretrained(base)
    with pytest.raises(ValueError, match="language.path.*not the one"):
        open_checkpoint(tmp_path / "model")


def test_a_frozen_base_that_is_in_no_file_is_saved(tokenizer_folder: Path, tmp_path: Path) -> None:
    """LoRA on a language model from scratch, which no seed of a later process makes again."""
    made = tiny_config(tokenizer_folder).language
    model = tiny_model(tokenizer_folder, language=replace(made, tuning="lora", lora_rank=2))
    model.save_pretrained(tmp_path / "model")
    torch.manual_seed(99)
    opened = DepictQA.from_pretrained(tmp_path / "model")
    frozen = model.made_state_dict()
    assert any("embed_tokens" in name for name in frozen)
    assert all(torch.equal(opened.made_state_dict()[name], value) for name, value in frozen.items())
    assert opened.answer(mixed_samples(), 6) == model.answer(mixed_samples(), 6)


def test_checkpoint_of_another_model(model: DepictQA, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    state = load_file(weights)
    state["projector.linear.weight"] = torch.zeros(3, 3)
    state["extra"] = torch.zeros(1)
    save_file(state, weights)
    with pytest.raises(
        ValueError, match=r"another model.*unexpected extra.*projector.linear.weight has shape \(3, 3\)"
    ):
        open_checkpoint(tmp_path / "model")
    os.truncate(weights, weights.stat().st_size // 2)
    with pytest.raises(ValueError, match="model.safetensors' cannot be read: it is cut short or broken; train or copy"):
        open_checkpoint(tmp_path / "model")


def test_missing_and_broken_folders(model: DepictQA, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no model"):
        open_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        open_checkpoint(tmp_path / "absent")
    (tmp_path / "ckpt.pt").write_bytes(b"nothing")
    with pytest.raises(FileNotFoundError, match="clip.pt"):
        open_checkpoint(tmp_path / "ckpt.pt")
    with pytest.raises(ValueError, match="ckpt.pt' cannot be read: it is cut short or broken; fetch them again"):
        open_checkpoint(tmp_path / "ckpt.pt", vision="v", language="l")
    model.save_pretrained(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    record = json.loads(config.read_text())
    record["model"]["vision"]["widht"] = 3
    config.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="model.vision.widht unknown"):
        open_checkpoint(tmp_path / "model")


def test_failed_write_leaves_the_old_model(model: DepictQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model.save_pretrained(tmp_path / "model")

    def full_disk(path: Path, data: bytes) -> None:
        path.open("wb").write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(ValueError, match="No space left"):
        model.save_pretrained(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert open_checkpoint(tmp_path).answer(mixed_samples(), 3) == model.answer(mixed_samples(), 3)


def test_config_round_trip(tokenizer_folder: Path) -> None:
    config = tiny_config(tokenizer_folder)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
