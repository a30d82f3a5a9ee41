"""A language model's weights are mapped from their files: a second process of a machine adds next to nothing in RAM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from depictqa.models.config import LanguageConfig
from depictqa.models.language import LanguageModel

WIDTH, LAYERS = 1024, 4
READER = """
import gc, sys, torch
from depictqa.models.config import LanguageConfig
from depictqa.models.language import LanguageModel

def anonymous():
    gc.collect()
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous")) / 1024

LanguageModel.build(LanguageConfig(architecture={"hidden_size": 8, "num_attention_heads": 1}), 8)  # what imports take
before = anonymous()
model = LanguageModel.build(LanguageConfig(path=sys.argv[1], dtype="bfloat16", tuning="lora"), 0, as_stored=True)
total = sum(float(parameter.abs().max()) for parameter in model.parameters())  # every page is read
print(anonymous() - before, flush=True)
input()  # the files stay open until all have measured
model.cast(torch.device("cpu"))
print(anonymous() - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=8000, hidden_size=WIDTH, intermediate_size=2816, num_hidden_layers=LAYERS, num_attention_heads=16
    )
    out = tmp_path_factory.mktemp("llm")
    LlamaForCausalLM._from_config(config, dtype=torch.float16).save_pretrained(out)
    return out


def size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2**20


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is told apart by Linux's /proc")
def test_processes_share_weights_until_they_are_cast(folder: Path) -> None:
    """MiB that each of two processes has for itself, once both have read all weights, and when it has cast them."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    stored = [float(process.stdout.readline()) for process in started]  # type: ignore[union-attr]
    cast = [float(process.communicate("\n", timeout=120)[0]) for process in started]
    assert size(folder) > 120
    assert max(stored) < 0.2 * size(folder)
    assert min(cast) > 0.5 * size(folder)  # some of it goes where memory had been freed


def test_casting_late_gives_the_same_model(folder: Path) -> None:
    config = LanguageConfig(path=str(folder), dtype="bfloat16", tuning="lora")
    torch.manual_seed(0)
    at_once = LanguageModel.build(config, 0)
    torch.manual_seed(0)
    late = LanguageModel.build(config, 0, as_stored=True)
    assert late.base.model.layers[0].mlp.up_proj.weight.dtype == torch.float16
    late.cast(torch.device("cpu"))
    for (name, expected), (other, value) in zip(at_once.named_parameters(), late.named_parameters(), strict=True):
        assert name == other and value.dtype == expected.dtype and value.requires_grad == expected.requires_grad
        if "lora_" in name:  # drawn in the base's dtype
            torch.testing.assert_close(value, expected, rtol=1e-2, atol=1e-4)
        else:
            assert torch.equal(value, expected), name
