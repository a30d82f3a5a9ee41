"""Frozen weights of the decoder layers in 8 bits: half the memory, and products at twice the rate of bfloat16.

A weight [O, I] is quantised once, to e4m3 with a scale for each output; activations and gradients at each product, with
a scale for each token. In the backward pass the outputs are what is summed over, so their scales go into the gradient
before it is quantised, and the very weights of the forward pass serve there too.

torchao's `Float8Linear` keeps the wide weights, casts them at every step and computes their gradients; its float8
tensors pass no gradient on to their input. Frozen weights need neither, so the products here are torch's own. A CPU
multiplies the same float8 numbers in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from depictqa.batch import Batch
from depictqa.loss import batch_loss

if TYPE_CHECKING:
    from depictqa.models.depictqa import DepictQA
    from depictqa.models.language import LanguageModel

FLOAT8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FLOAT8).max
MULTIPLE = 16  # what the product's sides are multiples of
CAPABILITY = (8, 9)  # of a GPU that multiplies float8


class Float8Linear(nn.Module):
    """A frozen `nn.Linear`. Its weight is kept as bytes, which no cast of the whole module changes, and as a parameter,
    since DistributedDataParallel sends buffers around at every step."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        weight, scale = quantise(linear.weight.detach())
        self.weight = nn.Parameter(weight.view(torch.uint8), requires_grad=False)  # [O, I]
        self.scale = nn.Parameter(scale[:, 0], requires_grad=False)  # [O] float32
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        kind = inputs.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype
        out = _Product.apply(inputs, self.weight, self.scale, dtype)
        return out if self.bias is None else out + self.bias.to(dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        ctx.save_for_backward(weight, scale)
        ctx.dtype = inputs.dtype
        return _rows_by(inputs, weight.view(FLOAT8).t(), scale.float()[None], dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        weight, scale = ctx.saved_tensors
        # Kernels take the second factor column by column. The copy is 2 bytes a weight to and from memory; kept, it
        # would be all the memory that is saved.
        turned = weight.t().contiguous().view(FLOAT8).t()  # [O, I]
        ones = torch.ones(1, weight.shape[1], device=weight.device)
        return _rows_by(gradient * scale, turned, ones, ctx.dtype), None, None, None


def _rows_by(rows: torch.Tensor, factor: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[..., K] and float8 [K, N], column by column, of `scale` [1, N] -> [..., N]."""
    quantised, scales = quantise(rows.flatten(0, -2))
    if rows.is_cuda:
        out = by_kernel(quantised, factor, scales, scale)
    else:
        out = (quantised.float() @ factor.float()) * scales * scale
    return out.to(dtype).unflatten(0, rows.shape[:-1])


def by_kernel(rows: torch.Tensor, factor: torch.Tensor, row_scales: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """float8 [T, K], row by row, and [K, N], column by column, of scales [T, 1] and [1, N] -> bfloat16 [T, N]."""
    return torch._scaled_mm(rows, factor, row_scales, scales, out_dtype=torch.bfloat16, use_fast_accum=rows.is_cuda)


def quantise(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[T, K] -> float8 [T, K], and float32 scales [T, 1] to multiply it with."""
    rows = rows.float()
    scale = rows.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny * LARGEST) / LARGEST
    return (rows / scale).clamp(-LARGEST, LARGEST).to(FLOAT8), scale


def use_float8(language: LanguageModel) -> int:
    """Put all frozen matrices of the decoder layers in float8, in place; the number of weights that were.

    Before `compile_layers`. ValueError where there is none, or the model is on a GPU without float8.
    """
    for parameter in language.parameters():
        if parameter.is_cuda and torch.cuda.get_device_capability(parameter.device) < CAPABILITY:
            raise ValueError(
                f"{torch.cuda.get_device_name(parameter.device)} does not multiply float8 (from Ada and Hopper on, "
                "GPUs do); set trainer.float8.enabled=false"
            )
        break
    converted = 0
    for layer in language.layers:
        for module in list(layer.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear and not child.weight.requires_grad and _fits(child):
                    setattr(module, name, Float8Linear(child))
                    converted += child.weight.numel()
    if not converted:
        raise ValueError(
            "the decoder layers have no frozen matrix to hold in float8; set model.language.tuning=lora or frozen, or "
            "trainer.float8.enabled=false"
        )
    return converted


def _fits(linear: nn.Linear) -> bool:
    return linear.in_features % MULTIPLE == 0 and linear.out_features % MULTIPLE == 0


@dataclass(frozen=True)
class Deviation:
    """Between two runs over the same batches."""

    loss: float  # relative difference of the mean losses
    cosine: float  # of the gradients of all that is trained


def deviation(
    model: DepictQA,
    change: Callable[[], Any],
    batches: Sequence[Batch],
    context: Callable[[], AbstractContextManager[Any]],
) -> Deviation:
    """What `change` does to the model's loss and gradients, in evaluation mode, each batch within a `context` of its
    own (autocast). The change stays."""
    training = model.training
    model.eval()
    loss, gradient = _loss_and_gradient(model, batches, context)
    change()
    changed_loss, changed_gradient = _loss_and_gradient(model, batches, context)
    model.train(training)
    cosine = torch.nn.functional.cosine_similarity(gradient, changed_gradient, dim=0)
    return Deviation(abs(changed_loss - loss) / abs(loss), float(cosine))


def _loss_and_gradient(
    model: DepictQA, batches: Sequence[Batch], context: Callable[[], AbstractContextManager[Any]]
) -> tuple[float, torch.Tensor]:
    trained = model.trained_state_dict().values()
    model.zero_grad(set_to_none=True)
    total = 0.0
    for batch in batches:
        with context():
            loss = batch_loss(model(batch.to(model.device)))
        (loss / len(batches)).backward()
        total += loss.item() / len(batches)
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).double().flatten() for p in trained]
    model.zero_grad(set_to_none=True)
    return total, torch.cat(parts)
