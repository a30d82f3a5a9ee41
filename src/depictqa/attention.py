"""Attention in packs: several samples in one row, none of which sees another.

Registered with transformers under `PACKED`. A call without `cu_seq_lens_q` is plain SDPA with its masks, so padded
batches, masked generation and caches go through it as they would without it. A pack's segments come by the keyword
arguments that transformers hands to flash attention.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

PACKED = "depictqa_packed"
LAYERS = ("full_attention", "sliding_attention")
UNSUPPORTED = ("softcap", "s_aux", "position_bias")

VariableLength = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, float], torch.Tensor]
"""Queries [T, H, D], keys and values [T, h, D], bounds [N + 1], the longest segment, scale -> [T, H, D]."""


@dataclass(frozen=True)
class Segments:
    """Where the samples of a pack stand; see `depictqa.batch.Batch`."""

    numbers: torch.Tensor  # [1, T] int64
    bounds: torch.Tensor  # [N + 1] int32
    longest: int

    def arguments(self) -> dict[str, Any]:
        """What a transformers model passes on to `packed_attention`.

        Handed a mask of four dimensions, it makes none of its own, which would be T x T and would be waited for; so
        the segments' numbers travel as one.
        """
        return {
            "attention_mask": self.numbers[:, None, None],
            "cu_seq_lens_q": self.bounds,
            "cu_seq_lens_k": self.bounds,
            "max_length_q": self.longest,
            "max_length_k": self.longest,
        }


def use_packed_attention(model: Any) -> None:
    """Make a transformers model attend by `packed_attention`. ValueError where a layer of it could not."""
    config = model.config
    if config._attn_implementation == PACKED:
        return
    layers = set(getattr(config, "layer_types", None) or ()) - set(LAYERS)
    if layers:
        raise ValueError(f"{config.model_type} has layers of {min(layers)}, which packs would mix up; {REMEDY}")
    if getattr(config, "attention_dropout", 0):
        raise ValueError(f"attention_dropout is {config.attention_dropout}, which packs have not; {REMEDY}")
    model.set_attn_implementation(PACKED)
    if config._attn_implementation != PACKED:
        raise ValueError(f"{config.model_type} takes no other attention than its own; {REMEDY}")


REMEDY = "set data.packing=none"


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """[B, H, T, D] -> [B, T, H, D]: transformers' attention function. In a pack, B is 1 and attention is causal."""
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **kwargs
        )
    if sliding_window is not None and sliding_window < max_length_q:
        raise ValueError(f"a sample has up to {max_length_q} tokens, the sliding window {sliding_window}; {REMEDY}")
    for name in UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise ValueError(f"this model's attention has {name}, which packs have not; {REMEDY}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Rotations in float32 leave queries and keys so under autocast, which does not reach the kernels here.
    query, key = query.to(value.dtype), key.to(value.dtype)
    if not query.is_cuda:
        attend = segment_attention if torch.compiler.is_compiling() else _by_segment
        return attend(query, key, value, cu_seq_lens_q, scale).transpose(1, 2), None
    if VARIABLE_LENGTH is None or value.dtype not in (torch.float16, torch.bfloat16):
        assert attention_mask is not None
        return _by_mask(query, key, value, attention_mask, scale).transpose(1, 2), None
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))  # [T, H, D]
    return VARIABLE_LENGTH(query, key, value, cu_seq_lens_q, max_length_q, scale)[None], None


def _by_segment(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scale: float
) -> torch.Tensor:
    """[1, H, T, D] -> [1, H, T, D], a call of SDPA for each segment.

    Split and not sliced: the gradient of each slice would be as large as the pack, and filled with zeros.
    """
    ends = bounds.tolist()
    lengths = [end - start for start, end in zip(ends, ends[1:], strict=False)]
    segments = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    return torch.cat([_causal(q, k, v, scale) for q, k, v in segments if q.shape[2]], dim=2)


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    shared = query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=shared)


def _by_mask(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, numbers: torch.Tensor, scale: float
) -> torch.Tensor:
    """As `_by_segment`, with `numbers` [1, 1, 1, T] of the segments: for float32 on a GPU, where no kernel takes
    bounds."""
    places = torch.arange(query.shape[2], device=query.device)
    mask = (numbers == numbers.transpose(-1, -2)) & (places <= places[:, None])
    shared = query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=shared)


@torch.library.custom_op("depictqa::segment_attention", mutates_args=())
def segment_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scale: float
) -> torch.Tensor:
    """`_by_segment` as one operation, so that a compiled graph does not depend on how many segments there are."""
    return _by_segment(query, key, value, bounds, scale)


@segment_attention.register_fake
def _(query: Any, key: Any, value: Any, bounds: Any, scale: float) -> torch.Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


@torch.library.custom_op("depictqa::segment_attention_backward", mutates_args=())
def _segment_attention_backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """By the formula: nothing of SDPA's is kept, and autograd does not reach into an operation."""
    gradients = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in (query, key, value)]
    ends = bounds.tolist()
    for start, end in zip(ends, ends[1:], strict=False):
        # [1, h, group, T, D]: the queries of a group share keys and values
        g, q, k, v = (
            tensor[:, :, start:end].unflatten(1, (key.shape[1], -1)) for tensor in (gradient, query, key, value)
        )
        future = torch.ones(end - start, end - start, dtype=torch.bool, device=q.device).triu(1)
        shares = (scale * q @ k.mT).masked_fill(future, float("-inf")).softmax(-1)
        of_shares = g @ v.mT
        of_scores = scale * shares * (of_shares - (of_shares * shares).sum(-1, keepdim=True))
        for out, part in zip(gradients, (of_scores @ k, of_scores.mT @ q, shares.mT @ g), strict=True):
            out[:, :, start:end] = part.flatten(1, 2) if out is gradients[0] else part.sum(2)
    return gradients[0], gradients[1], gradients[2]


@_segment_attention_backward.register_fake
def _(gradient: Any, query: Any, key: Any, value: Any, bounds: Any, scale: float) -> tuple[torch.Tensor, ...]:
    return tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in (query, key, value))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    query, key, value, bounds, ctx.scale = inputs
    ctx.save_for_backward(query, key, value, bounds)


def _backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    return *_segment_attention_backward(gradient, *ctx.saved_tensors, ctx.scale), None, None


segment_attention.register_autograd(_backward, setup_context=_keep)


def by_torch(varlen_attn: Callable[..., Any]) -> VariableLength:
    """torch's `varlen_attn`, causal. Its arguments grew from 2.10 to 2.12: what its signature lacks is made up for."""
    known = inspect.signature(varlen_attn).parameters
    causal: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    takes_scale, takes_groups = "scale" in known, "enable_gqa" in known  # plain values, for a compiler to read

    def attend(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, longest: int, scale: float
    ) -> torch.Tensor:
        options = dict(causal)
        if takes_scale:
            options["scale"] = scale
        else:  # the kernel's own scale is D^-1/2
            query = query * (scale * query.shape[-1] ** 0.5)
        if query.shape[1] != key.shape[1]:
            if takes_groups:
                options["enable_gqa"] = True
            else:
                key, value = (
                    tensor.repeat_interleave(query.shape[1] // tensor.shape[1], dim=1) for tensor in (key, value)
                )
        return varlen_attn(query, key, value, bounds, bounds, longest, longest, **options)

    return attend


def by_flash_attn(flash_attn_varlen_func: Callable[..., torch.Tensor]) -> VariableLength:
    """The flash-attn package's function, causal."""

    def attend(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, longest: int, scale: float
    ) -> torch.Tensor:
        return flash_attn_varlen_func(
            query, key, value, bounds, bounds, longest, longest, softmax_scale=scale, causal=True
        )

    return attend


def _variable_length() -> VariableLength | None:
    """flash-attn where it is installed, else torch's own; None where neither is."""
    try:
        from flash_attn import flash_attn_varlen_func

        return by_flash_attn(flash_attn_varlen_func)
    except ImportError:
        pass
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return by_torch(varlen_attn)


VARIABLE_LENGTH = _variable_length()


@contextmanager
def variable_length(attend: VariableLength) -> Iterator[None]:
    """Packs on a GPU attend by this function inside."""
    global VARIABLE_LENGTH
    before, VARIABLE_LENGTH = VARIABLE_LENGTH, attend
    try:
        yield
    finally:
        VARIABLE_LENGTH = before


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, sdpa_mask)
