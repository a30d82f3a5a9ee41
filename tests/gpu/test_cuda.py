"""The same model on a CUDA device: run with `pytest -m gpu` where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depictqa.batch import collate
from depictqa.loss import batch_loss
from depictqa.optim import OptimizerConfig, adam
from depictqa.scoring import probability_of_a
from depictqa.testing import make_sample, mixed_samples, tiny_model

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
