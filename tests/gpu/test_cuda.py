"""The same model on a CUDA device: run with `pytest -m gpu` where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depictqa.batch import Batch, collate, pack
from depictqa.loss import batch_loss
from depictqa.models.float8 import CAPABILITY, Float8Linear
from depictqa.optim import OptimizerConfig, adam
from depictqa.scoring import probability_of_a
from depictqa.testing import make_sample, mixed_samples, tiny_config, tiny_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_answers_and_losses_agree_with_the_cpu(tokenizer_folder: Path) -> None:
    cpu, cuda = tiny_model(tokenizer_folder), tiny_model(tokenizer_folder).cuda()
    batch = collate([cpu.encoder.encode(sample) for sample in mixed_samples()])
    torch.testing.assert_close(batch_loss(cuda(batch.to("cuda"))).cpu(), batch_loss(cpu(batch)), rtol=1e-4, atol=1e-5)
    assert [a.token_ids for a in cuda.answer(mixed_samples(), 6)] == [
        a.token_ids for a in cpu.answer(mixed_samples(), 6)
    ]
    pair = [make_sample()]
    torch.testing.assert_close(probability_of_a(cuda, pair), probability_of_a(cpu, pair), rtol=1e-3, atol=1e-4)


def test_bfloat16_training_lowers_the_loss(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder).cuda().train()
    optimizer = adam(model.parameters(), OptimizerConfig(lr=3e-3))
    assert optimizer.defaults["fused"]
    batch = collate([model.encoder.encode(sample) for sample in mixed_samples()]).pin_memory().to("cuda", True)
    losses = []
    for _ in range(10):
        with torch.autocast("cuda", torch.bfloat16):
            loss = batch_loss(model(batch))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def relative_error(packed: torch.Tensor, alone: torch.Tensor) -> float:
    return float((packed - alone).norm() / alone.norm())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_gradients_are_those_of_single_samples(
    tokenizer_folder: Path, dtype: torch.dtype, compiled: bool
) -> None:
    """In bfloat16 by the variable-length kernel, in float32 by a mask; compiled by inductor."""
    language = tiny_config(tokenizer_folder).language
    language.tuning, language.lora_rank, language.lora_dropout = "lora", 4, 0.0
    language.architecture = {**language.architecture, "hidden_size": 128}  # type: ignore[dict-item]  # heads of 64
    model = tiny_model(tokenizer_folder, language=language).cuda().train()
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]

    def gradient(batches: list[Batch]) -> torch.Tensor:
        model.zero_grad()
        for batch in batches:
            with torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = batch_loss(model(batch.to("cuda")))
            loss.backward()
        return torch.cat([p.grad.flatten() for p in model.trained_state_dict().values() if p.grad is not None])

    alone = gradient([collate([item], denominator=len(encoded)) for item in encoded])
    if compiled:
        model.language.compile_layers()
    for batch in (pack(encoded, length=1024, longest=256), pack(encoded[::-1], length=1024, longest=256)):
        assert relative_error(gradient([batch]), alone) <= (1e-4 if dtype == torch.float32 else 3e-2)


@pytest.mark.parametrize("compiled", [False, True])
def test_float8_products_and_gradients_agree_with_the_cpu(tokenizer_folder: Path, compiled: bool) -> None:
    """Products by the kernel, which needs Ada or Hopper; beside the same numbers multiplied on the CPU."""
    if torch.cuda.get_device_capability() < CAPABILITY:
        pytest.skip("this GPU does not multiply float8")
    linear = torch.nn.Linear(512, 256, bias=False).requires_grad_(False)
    inputs, gradient = torch.randn(96, 512), torch.randn(96, 256)
    found = []
    for device in ("cpu", "cuda"):
        module = Float8Linear(linear.to(device))
        run = torch.compile(module, fullgraph=True) if compiled else module
        given = inputs.to(device, torch.bfloat16, copy=True).requires_grad_()
        out = run(given)
        out.backward(gradient.to(device, torch.bfloat16))
        found.append((out.detach().cpu().float(), given.grad.cpu().float()))  # type: ignore[union-attr]
    for cpu, cuda in zip(*found, strict=True):
        assert relative_error(cuda, cpu) < 2e-2


def test_a_training_step_does_not_wait_for_the_device(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder).cuda().train()
    optimizer = adam(model.parameters(), OptimizerConfig())
    batches = [pack([model.encoder.encode(sample) for sample in mixed_samples()], length=1024).pin_memory()] * 3
    for number, batch in enumerate(batches):
        torch.cuda.set_sync_debug_mode("error" if number else "default")  # the first one sets things up
        try:
            with torch.autocast("cuda", torch.bfloat16):
                loss = batch_loss(model(batch.to("cuda", non_blocking=True)))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        finally:
            torch.cuda.set_sync_debug_mode("default")
