"""Frozen weights in float8: what products and gradients are, what stays as it is, and what the check sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from packaging.version import Version
from torch import nn
from torch._dynamo.utils import counters

from depictqa.batch import Batch, pack
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA
from depictqa.models.float8 import FLOAT8, Deviation, Float8Linear, by_kernel, deviation, quantise, use_float8
from depictqa.testing import mixed_samples, tiny_config, tiny_model


@pytest.fixture(autouse=True)
def fresh_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def model(tokenizer: Path, tuning: str = "lora") -> DepictQA:
    language = tiny_config(tokenizer).language
    language.tuning, language.lora_rank, language.lora_dropout = tuning, 4, 0.0
    return tiny_model(tokenizer, language=language).train()


def batch(of: DepictQA) -> Batch:
    return pack([of.encoder.encode(sample) for sample in mixed_samples()], length=512)


def gradient(of: DepictQA) -> torch.Tensor:
    of.zero_grad()
    batch_loss(of(batch(of))).backward()
    return torch.cat([p.grad.flatten() for p in of.trained_state_dict().values() if p.grad is not None])


def test_numbers_keep_four_bits_in_rows_of_any_size() -> None:
    rows = torch.randn(6, 64) * torch.tensor([[1e-6], [1.0], [1e6], [0.0], [1e-30], [1e30]])
    quantised, scale = quantise(rows)
    assert quantised.dtype == FLOAT8 and scale.shape == (6, 1)
    restored = quantised.float() * scale
    large = rows.abs() > rows.abs().amax(1, keepdim=True) / 2**14
    assert ((restored - rows).abs()[large] <= rows.abs()[large] / 16).all()
    assert not restored[3].any()


def test_products_and_gradients_are_those_of_the_quantised_numbers() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 48).requires_grad_(False)
    inputs, out_gradient = torch.randn(3, 7, 64, requires_grad=True), torch.randn(3, 7, 48)

    def read(numbers: torch.Tensor) -> torch.Tensor:
        quantised, scale = quantise(numbers)
        return quantised.float() * scale

    out = Float8Linear(linear)(inputs)
    expected = read(inputs.detach()) @ read(linear.weight).T + linear.bias
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    (found,) = torch.autograd.grad(out, inputs, out_gradient)
    weight, scale = quantise(linear.weight)
    torch.testing.assert_close(found, read(out_gradient * scale.T) @ weight.float(), rtol=1e-5, atol=1e-5)
    (wide,) = torch.autograd.grad(linear(inputs), inputs, out_gradient)
    assert (found - wide).norm() < 0.05 * wide.norm()


@pytest.mark.skipif(Version(torch.__version__) < Version("2.15"), reason="no scales of rows on a CPU")
def test_the_kernel_multiplies_as_the_formula() -> None:
    """The very call that a GPU gets, of both passes."""
    rows, weight = torch.randn(7, 64), torch.randn(48, 64)
    (given, row_scales), (quantised, scales) = quantise(rows), quantise(weight)
    expected = (given.float() * row_scales) @ (quantised.float() * scales).T
    torch.testing.assert_close(
        by_kernel(given, quantised.t(), row_scales, scales.T).float(), expected, rtol=1e-2, atol=1e-2
    )
    given, row_scales = quantise(expected)
    turned = quantised.view(torch.uint8).t().contiguous().view(FLOAT8).t()
    found = by_kernel(given, turned, row_scales, torch.ones(1, 64)).float()
    torch.testing.assert_close(found, (given.float() * row_scales) @ quantised.float(), rtol=1e-2, atol=1e-2 * 448)


def test_autocast_chooses_what_comes_out() -> None:
    inputs = torch.randn(4, 32)
    linear = Float8Linear(nn.Linear(32, 16, bias=False).requires_grad_(False))
    assert linear(inputs).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(inputs).dtype == torch.bfloat16


@pytest.mark.parametrize("tuning", ["lora", "frozen"])
def test_only_frozen_matrices_of_the_layers_change(tokenizer_folder: Path, tuning: str) -> None:
    wide, narrow = model(tokenizer_folder, tuning), model(tokenizer_folder, tuning)
    converted = use_float8(narrow.language)
    inside = [module for layer in narrow.language.layers for module in layer.modules()]
    assert sum(m.weight.numel() for m in inside if isinstance(m, Float8Linear)) == converted > 0
    assert sum(isinstance(m, Float8Linear) for m in narrow.modules()) == 2 * 7
    assert not any(type(m) is nn.Linear and not m.weight.requires_grad for m in inside)
    assert torch.equal(narrow.language.head.weight, wide.language.head.weight)
    state = wide.trained_state_dict()
    assert narrow.trained_state_dict().keys() == state.keys()
    size = {of: sum(p.nbytes for p in of.language.layers.parameters()) for of in (wide, narrow)}
    assert size[wide] - size[narrow] > 2.8 * converted  # four bytes to one, and scales
    narrow.to(torch.bfloat16)
    assert sum(m.weight.dtype == torch.uint8 for m in inside if isinstance(m, Float8Linear)) == 2 * 7


def test_a_model_tuned_in_full_is_refused(tokenizer_folder: Path) -> None:
    with pytest.raises(ValueError, match="no frozen matrix to hold in float8; set model.language.tuning=lora or"):
        use_float8(model(tokenizer_folder, "full").language)


def test_one_graph_serves_and_no_copy_of_a_weight_is_kept(tokenizer_folder: Path) -> None:
    """Neither as it is nor compiled, by the partitioner that inductor has: it chooses what the backward pass gets."""
    narrow = model(tokenizer_folder)
    use_float8(narrow.language)
    own = {p.untyped_storage().data_ptr() for p in narrow.parameters()}
    found = []
    for compiled in (False, True):
        if compiled:
            narrow.language.compile_layers(backend="aot_eager_decomp_partition")
        kept: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor, kept=kept: kept.append(tensor) or tensor, _same):
            found.append(gradient(narrow))
        weights = [t for t in kept if t.element_size() == 1]
        assert len(weights) == 2 * 7 and all(t.untyped_storage().data_ptr() in own for t in weights)
        wide = [t for t in kept if t.shape in {(64, 32), (32, 64)} and t.untyped_storage().data_ptr() not in own]
        assert not wide
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 1 and not counters["recompiles"]


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def changed(of: DepictQA) -> Deviation:
    return deviation(of, lambda: use_float8(of.language), [batch(of)], nullcontext)


def test_ordinary_weights_pass_the_check(tokenizer_folder: Path) -> None:
    of = model(tokenizer_folder)
    found = changed(of)
    assert of.training and 0 < found.loss < 0.01 and 0.95 < found.cosine < 0.99999


def test_weights_with_outliers_do_not(tokenizer_folder: Path) -> None:
    """The same function: what a norm makes smaller, the matrices behind it make larger. One column takes the range of
    every row, and the rest of it is lost."""
    of = model(tokenizer_folder)
    before = batch_loss(of(batch(of))).item()
    with torch.no_grad():
        for layer in of.language.layers:
            for norm, block, names in (
                (layer.input_layernorm, layer.self_attn, ("q_proj", "k_proj", "v_proj")),
                (layer.post_attention_layernorm, layer.mlp, ("gate_proj", "up_proj")),
            ):
                norm.weight[3] /= 2**20
                for name in names:
                    linear = getattr(block, name)
                    getattr(linear, "base_layer", linear).weight[:, 3] *= 2**20
    assert batch_loss(of(batch(of))).item() == pytest.approx(before, rel=1e-4)
    found = changed(of)
    assert found.loss > 0.01 or found.cosine < 0.95
