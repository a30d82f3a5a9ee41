"""Compiled decoder layers and activations that are computed again: the same numbers, from one graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from depictqa.batch import collate, pack
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA
from depictqa.models.vision import VisionTower
from depictqa.testing import mixed_samples, tiny_config, tiny_model


@pytest.fixture(autouse=True)
def fresh_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def model_with_lora(tokenizer: Path, dropout: float = 0.0, layers: int = 3) -> DepictQA:
    language = tiny_config(tokenizer).language
    language.tuning, language.lora_rank, language.lora_dropout = "lora", 4, dropout
    language.architecture = {**language.architecture, "num_hidden_layers": layers}  # type: ignore[dict-item]
    return tiny_model(tokenizer, language=language).train()


def gradients(model: DepictQA, sizes: list[int], length: int = 512) -> list[torch.Tensor]:
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
    found = []
    for size in sizes:
        model.zero_grad()
        batch_loss(model(pack(encoded[-size:], length=length, longest=128))).backward()
        found += [p.grad.clone() for p in model.trained_state_dict().values() if p.grad is not None]
    return found


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_one_graph_serves_all_layers_and_packs(tokenizer_folder: Path, backend: str) -> None:
    sizes = [5, 3, 4, 1, 2]
    plain, compiled = model_with_lora(tokenizer_folder), model_with_lora(tokenizer_folder)
    compiled.language.compile_layers(backend=backend)
    for one, other in zip(gradients(plain, sizes), gradients(compiled, sizes), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert counters["stats"]["unique_graphs"] == 1, "three layers and five packs, one graph"
    assert not counters["graph_break"] and not counters["recompiles"]
    assert compiled.trained_state_dict().keys() == plain.trained_state_dict().keys()


def test_evaluation_takes_a_graph_of_its_own(tokenizer_folder: Path) -> None:
    model = model_with_lora(tokenizer_folder, dropout=0.2)
    model.language.compile_layers(backend="eager")
    for _ in range(2):
        gradients(model, [5, 2])
        model.eval()
        with torch.no_grad():
            model(pack([model.encoder.encode(sample) for sample in mixed_samples()], length=512, longest=128))
        model.train()
    assert counters["stats"]["unique_graphs"] == 2


def test_a_model_without_decoder_layers_is_refused(tokenizer_folder: Path) -> None:
    language = tiny_config(tokenizer_folder).language
    language.architecture = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2}
    model = tiny_model(tokenizer_folder, language=language)
    with pytest.raises(ValueError, match="gpt2 has no list of decoder layers; set trainer.compile=false"):
        model.language.compile_layers()


def test_rows_of_any_length_take_two_graphs(tokenizer_folder: Path) -> None:
    """`data.packing=step`: one for the first length, one for all others."""
    model = model_with_lora(tokenizer_folder)
    model.language.compile_layers(backend="eager")
    for length in (512, 576, 640, 704, 1024):
        gradients(model, [2], length)
    assert counters["stats"]["unique_graphs"] == 2


def test_all_but_packs_goes_by_the_compiled_layers(tokenizer_folder: Path) -> None:
    plain, compiled = model_with_lora(tokenizer_folder).eval(), model_with_lora(tokenizer_folder).eval()
    compiled.language.compile_layers(backend="eager")
    batch = collate([plain.encoder.encode(sample) for sample in mixed_samples()])
    assert torch.equal(plain(batch).logits, compiled(batch).logits)
    assert plain.answer(mixed_samples(), 4) == compiled.answer(mixed_samples(), 4)
    assert not counters["stats"]["unique_graphs"]


def test_two_graphs_serve_the_vision_tower_at_all_sizes(tokenizer_folder: Path) -> None:
    """All blocks and grids by one, groups of one image by the other; within a training step and alike in evaluation."""
    tower = tiny_model(tokenizer_folder, vision=replace(tiny_config(tokenizer_folder).vision, trainable=False)).vision
    sizes = [(4, 56, 56), (3, 42, 56), (1, 84, 28), (2, 56, 42), (1, 28, 84), (7, 14, 14), (1, 14, 28), (2, 98, 70)]
    groups = [torch.randint(0, 256, (num, 3, height, width), dtype=torch.uint8) for num, height, width in sizes]
    plain = [tower(pixels) for pixels in groups]
    tower.compile_blocks(backend="aot_eager")
    for one, pixels in zip(plain, groups, strict=True):
        torch.testing.assert_close(tower(pixels), one, rtol=1e-5, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"] and not counters["recompiles"]


def test_a_compiled_vision_tower_learns_as_it_would(tokenizer_folder: Path) -> None:
    """One that is trained, and a frozen one whose projector is."""
    for trainable in (True, False):
        vision = replace(tiny_config(tokenizer_folder).vision, trainable=trainable)
        plain, compiled = (tiny_model(tokenizer_folder, vision=vision).train() for _ in range(2))
        compiled.vision.compile_blocks(backend="aot_eager")
        for one, other in zip(gradients(plain, [5, 2]), gradients(compiled, [5, 2]), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_tower_without_blocks_stays_as_it_is() -> None:
    from open_clip.modified_resnet import ModifiedResNet

    tower = VisionTower(ModifiedResNet([1, 1, 1, 1], output_dim=32, heads=4, image_size=64, width=8)).eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    before = tower(pixels)
    tower.compile_blocks(backend="eager")
    assert torch.equal(tower(pixels), before) and not counters["stats"]["unique_graphs"]


@pytest.mark.parametrize("compiled", [False, True])
def test_layers_that_are_computed_again_change_nothing(tokenizer_folder: Path, compiled: bool) -> None:
    plain, again = (model_with_lora(tokenizer_folder, dropout=0.3) for _ in range(2))
    if compiled:
        for model in (plain, again):
            model.language.compile_layers(backend="eager")
    again.language.recompute(2)
    calls: list[int] = []
    for number, layer in enumerate(again.language.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, number=number: calls.append(number))
    torch.manual_seed(0)
    expected = gradients(plain, [5, 2])
    torch.manual_seed(0)
    for one, other in zip(expected, gradients(again, [5, 2]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    if not compiled:  # a hook would be traced
        assert calls == 2 * [0, 1, 2, 1]
