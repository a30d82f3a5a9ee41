"""The official loop, written again, computes the loss that ours computes."""

from __future__ import annotations

from pathlib import Path

import torch

from bench import official_loop as official
from depictqa.batch import collate
from depictqa.loss import batch_loss
from depictqa.testing import mixed_samples, tiny_config, tiny_model


def test_losses_and_gradients_are_ours(tokenizer_folder: Path) -> None:
    language = tiny_config(tokenizer_folder).language
    language.tuning, language.lora_dropout = "lora", 0.0
    model = tiny_model(tokenizer_folder, language=language).train()
    model.vision.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    samples = mixed_samples()
    ours = batch_loss(model(collate([model.encoder.encode(sample) for sample in samples])))
    own = torch.autograd.grad(ours, trained)
    with official.attention(model, "eager"):
        assert official.base_model(model).config._attn_implementation == "eager"
        theirs = torch.stack(
            [official.official_loss(model, *official.opened(model, sample)) for sample in samples]
        ).mean()
    assert official.base_model(model).config._attn_implementation != "eager"
    assert torch.allclose(ours, theirs, rtol=1e-5)
    for one, other in zip(own, torch.autograd.grad(theirs, trained), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


def test_offloaded_adam_is_adam() -> None:
    torch.manual_seed(0)
    one = torch.nn.Parameter(torch.randn(5))
    other = torch.nn.Parameter(one.detach().clone())
    plain = torch.optim.AdamW([one], 2e-4, betas=(0.9, 0.95), weight_decay=1e-3)
    offloaded = official.OffloadedAdam([other])
    for _ in range(3):
        one.grad = torch.randn(5)
        other.grad = one.grad.clone()
        plain.step()
        offloaded.step()
    offloaded.zero_grad()
    assert torch.equal(one, other) and other.grad is None
