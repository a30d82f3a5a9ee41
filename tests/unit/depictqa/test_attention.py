"""Packed attention: every way of computing it agrees with attention over each sample alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention.varlen import varlen_attn

from depictqa.attention import (
    PACKED,
    _by_mask,
    _by_segment,
    by_flash_attn,
    by_torch,
    packed_attention,
    segment_attention,
    use_packed_attention,
)
from depictqa.batch import pack
from depictqa.models.config import LanguageConfig
from depictqa.testing import mixed_samples, tiny_config, tiny_model

LENGTHS = (5, 1, 7, 3)
BOUNDS = torch.tensor([0, 5, 6, 13, 16, 16, 16], dtype=torch.int32)
NUMBERS = torch.repeat_interleave(torch.arange(4), torch.tensor(LENGTHS))[None, None, None]


def tensors(heads: int = 4, shared: int = 4, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, count, sum(LENGTHS), 8) for count in (heads, shared, shared)]
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def alone(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Softmax attention written out, sample by sample."""
    group = query.shape[1] // key.shape[1]
    parts = []
    for q, k, v in zip(*(tensor.split(LENGTHS, dim=2) for tensor in (query, key, value)), strict=True):
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = (scale * q @ k.mT).masked_fill(torch.ones(q.shape[2], q.shape[2]).triu(1).bool(), float("-inf"))
        parts.append(scores.softmax(-1) @ v)
    return torch.cat(parts, dim=2)


@pytest.mark.parametrize("shared", [4, 2, 1])
@pytest.mark.parametrize("way", ["segments", "operation", "mask"])
def test_ways_agree_with_samples_alone(way: str, shared: int) -> None:
    inputs, scale = tensors(shared=shared), 0.3
    ways = {"segments": _by_segment, "operation": segment_attention, "mask": _by_mask}
    out = ways[way](*inputs, NUMBERS if way == "mask" else BOUNDS, scale)
    expected = alone(*inputs, scale)
    torch.testing.assert_close(out, expected)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    found = torch.autograd.grad((out * weights).sum(), inputs)
    for one, other in zip(found, torch.autograd.grad((expected * weights).sum(), inputs), strict=True):
        torch.testing.assert_close(one, other)


def test_the_operation_is_sound() -> None:
    torch.library.opcheck(segment_attention, (*tensors(shared=2), BOUNDS, 0.3))


def flat_sdpa(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """[T, H, D], as the kernels of a GPU take it."""
    assert query.shape[1] == key.shape[1]
    return alone(*(tensor.transpose(0, 1)[None] for tensor in (query, key, value)), scale)[0].transpose(0, 1)


def torch_2_10(query: Any, key: Any, value: Any, a: Any, b: Any, m: int, n: int, is_causal: bool = False) -> Any:
    assert is_causal and a is b and m == n == 7
    return flat_sdpa(query, key, value, query.shape[-1] ** -0.5)


def torch_2_11(
    query: Any, key: Any, value: Any, a: Any, b: Any, m: int, n: int, *, scale: Any = None, window_size: Any = (-1, -1)
) -> Any:
    assert window_size == (-1, 0)
    return flat_sdpa(query, key, value, scale)


def torch_2_12(
    query: Any, key: Any, value: Any, a: Any, b: Any, m: int, n: int, *, scale: Any = None, window_size: Any = (-1, -1),
    enable_gqa: bool = False,
) -> Any:  # fmt: skip
    assert window_size == (-1, 0) and enable_gqa == (query.shape[1] != key.shape[1])
    return flat_sdpa(query, *(tensor.repeat_interleave(query.shape[1] // 2, 1) for tensor in (key, value)), scale)


@pytest.mark.parametrize("varlen", [torch_2_10, torch_2_11, torch_2_12])
def test_each_signature_of_torchs_kernel_gets_its_arguments(varlen: Any) -> None:
    inputs, scale = tensors(shared=2), 0.3
    flat = [tensor[0].transpose(0, 1) for tensor in inputs]
    out = by_torch(varlen)(*flat, BOUNDS, 7, scale)
    torch.testing.assert_close(out.transpose(0, 1)[None], alone(*inputs, scale))


def test_the_installed_kernel_takes_what_it_is_given() -> None:
    """On the meta device: shapes and arguments, not values."""
    flat = [tensor[0].transpose(0, 1).to("meta", torch.bfloat16) for tensor in tensors(shared=2)]
    assert by_torch(varlen_attn)(*flat, BOUNDS.to("meta"), 7, 0.3).shape == flat[0].shape


def test_the_installed_kernel_is_part_of_a_graph() -> None:
    """What a compiled layer holds on a GPU, traced without one."""
    flat = [tensor[0].transpose(0, 1).to("meta", torch.bfloat16) for tensor in tensors(shared=2)]
    compiled = torch.compile(by_torch(varlen_attn), backend="eager", fullgraph=True)
    assert compiled(*flat, BOUNDS.to("meta"), 7, 0.3).shape == flat[0].shape


def test_flash_attn_gets_its_arguments() -> None:
    def flash(
        query: Any, key: Any, value: Any, a: Any, b: Any, m: int, n: int, softmax_scale: float, causal: bool
    ) -> Any:
        assert causal
        return flat_sdpa(query, key, value, softmax_scale)

    inputs = tensors()
    out = by_flash_attn(flash)(*(tensor[0].transpose(0, 1) for tensor in inputs), BOUNDS, 7, 0.3)
    torch.testing.assert_close(out.transpose(0, 1)[None], alone(*inputs, 0.3))


def test_without_segments_it_is_sdpa() -> None:
    inputs = tensors()
    module = torch.nn.Identity()
    out, _ = packed_attention(module, *inputs, None, scaling=0.3)
    expected = F.scaled_dot_product_attention(*inputs, is_causal=True, scale=0.3).transpose(1, 2)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sliding_window": 6}, "up to 7 tokens, the sliding window 6; set data.packing=none"),
        ({"softcap": 30.0}, "has softcap, which packs have not"),
    ],
)
def test_what_packs_have_not_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        packed_attention(torch.nn.Identity(), *tensors(), None, cu_seq_lens_q=BOUNDS, max_length_q=7, **given)


def language(tokenizer: Path, **architecture: Any) -> LanguageConfig:
    config = tiny_config(tokenizer).language
    config.architecture = {**config.architecture, **architecture}  # type: ignore[dict-item]
    return config


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_families_of_language_models_pack(tokenizer_folder: Path, family: str) -> None:
    extra = {"head_dim": 16} if family == "qwen3" else {}
    settings = language(tokenizer_folder, model_type=family, num_key_value_heads=1, **extra)
    model = tiny_model(tokenizer_folder, language=settings)
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
    together = model(pack(encoded)).logits
    torch.testing.assert_close(together, torch.cat([model(pack([item])).logits for item in encoded]), atol=1e-5, rtol=0)
    assert model.language.base.config._attn_implementation == PACKED


def test_models_that_would_mix_samples_up_are_refused(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder, language=language(tokenizer_folder, attention_dropout=0.1))
    with pytest.raises(ValueError, match="attention_dropout is 0.1, which packs have not; set data.packing=none"):
        use_packed_attention(model.language.base)
    model.language.base.config.attention_dropout = 0.0
    model.language.base.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ValueError, match="llama has layers of linear_attention"):
        use_packed_attention(model.language.base)
