"""Samples laid end to end: nothing about any of them changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depictqa.batch import NUM_BOUNDS, Batch, collate, pack
from depictqa.encode import Encoded
from depictqa.loss import batch_loss, sample_losses
from depictqa.models.depictqa import DepictQA
from depictqa.official import hide_separators
from depictqa.sample import Task
from depictqa.testing import make_sample, mixed_samples, tiny_config, tiny_model


def lora_model(tokenizer: Path) -> DepictQA:
    """With LoRA whose products are not zero, and a frozen tower: what the paper trains."""
    language = tiny_config(tokenizer).language
    language.tuning, language.lora_rank, language.lora_dropout = "lora", 4, 0.0
    model = tiny_model(tokenizer, language=language)
    model.vision.requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> DepictQA:
    return lora_model(tokenizer_folder)


@pytest.fixture(scope="module")
def encoded(model: DepictQA) -> list[Encoded]:
    return [model.encoder.encode(sample) for sample in mixed_samples()]


def gradient(model: DepictQA, batches: list[Batch]) -> torch.Tensor:
    model.zero_grad()
    for batch in batches:
        batch_loss(model(batch)).backward()
    parameters = model.trained_state_dict()
    assert all(parameter.grad is not None for parameter in parameters.values())
    return torch.cat([parameter.grad.flatten() for parameter in parameters.values()])  # type: ignore[union-attr]


def test_streams_lie_end_to_end(encoded: list[Encoded]) -> None:
    lengths = [len(item) for item in encoded]
    batch = pack(encoded, length=600, longest=120)
    assert batch.ids.shape == (1, 600) and batch.longest == 120
    start = 0
    for number, item in enumerate(encoded):
        span = slice(start, start + len(item))
        assert torch.equal(batch.ids[0, span], item.ids) and torch.equal(batch.labels[0, span], item.labels)
        assert batch.positions[0, span].tolist() == list(range(len(item)))
        assert (batch.segments[0, span] == number + 1).all()
        start += len(item)
    assert (batch.segments[0, start:] == 0).all() and start == sum(lengths)
    assert batch.bounds is not None and batch.bounds.dtype == torch.int32
    sizes = batch.bounds.diff()
    assert sizes[: len(lengths)].tolist() == lengths and int(sizes.sum()) == 600 and int(sizes.max()) <= 120
    assert torch.equal(batch.labels.flatten()[batch.supervised], torch.cat([i.labels[i.labels >= 0] for i in encoded]))


def test_few_shapes_serve_all_packs(encoded: list[Encoded]) -> None:
    packs = [pack(encoded[:count], length=600, longest=200) for count in range(1, 6)]
    assert {(len(item.bounds), item.num_tokens) for item in packs} == {(NUM_BOUNDS + 1, 600)}  # type: ignore[arg-type]
    many = pack(encoded * 8)
    assert many.bounds is not None and (len(many.bounds) - 1) % NUM_BOUNDS == 0 and many.num_tokens % 64 == 0
    assert many.num_tokens - 8 * sum(len(item) for item in encoded) < 64
    assert pack(encoded[:2], length=1).num_tokens == len(encoded[0]) + len(encoded[1]), "none is cut"


def test_gradients_are_those_of_single_samples(model: DepictQA, encoded: list[Encoded]) -> None:
    """DESIGN section 4: relative error at most 1e-5 in float32, with LoRA and images."""
    alone = gradient(model, [collate([item], denominator=len(encoded)) for item in encoded])
    parts = [pack(part, len(encoded), 300) for part in (encoded[3:], encoded[:3])]
    for packs in ([pack(encoded)], [pack(encoded[::-1], length=777, longest=150)], parts):
        assert float((gradient(model, packs) - alone).norm() / alone.norm()) <= 1e-5


def test_a_samples_loss_does_not_depend_on_its_neighbours(model: DepictQA, encoded: list[Encoded]) -> None:
    other = model.encoder.encode(make_sample(Task.CONTENT, answer="Nothing of that kind is there at all.", seed=9))
    first, second = encoded[3], encoded[1]
    found = []
    for neighbours in ([], [second], [other, other], encoded):
        for items in ([first, *neighbours], [*neighbours, first]):
            place = items.index(first)
            found.append(float(sample_losses(model(pack(items)))[place]))
    alone = float(sample_losses(model(collate([first])))[0])
    assert found == pytest.approx([alone] * len(found), rel=2e-6)


def test_nothing_of_a_neighbour_reaches_a_sample(model: DepictQA, encoded: list[Encoded]) -> None:
    """Not only to rounding: the gradient of one sample's logits with respect to the other's stream is zero."""
    batch = pack(encoded[:3])
    embeds = model.embed(batch).detach().requires_grad_()
    model.embed = lambda batch: embeds  # type: ignore[method-assign]
    try:
        prediction = model(batch)
    finally:
        del model.embed
    (reached,) = torch.autograd.grad(prediction.logits[prediction.samples == 1].sum(), embeds)
    touched = reached[0].abs().sum(1) > 0
    assert touched.any() and set(batch.segments[0][touched].tolist()) == {2}


def test_images_land_in_their_slots(model: DepictQA, encoded: list[Encoded]) -> None:
    batch = pack(encoded)
    embeds, start = model.embed(batch)[0], 0
    for item in encoded:
        alone = model.embed(collate([item]))[0]
        torch.testing.assert_close(embeds[start : start + len(item)], alone, rtol=1e-5, atol=1e-6)
        start += len(item)


def test_padded_batches_and_answers_are_as_before_packing(tokenizer_folder: Path) -> None:
    before, after = lora_model(tokenizer_folder), lora_model(tokenizer_folder)
    items = [before.encoder.encode(sample) for sample in mixed_samples()]
    after(pack(items))
    assert torch.equal(before(collate(items)).logits, after(collate(items)).logits)
    assert before.answer(mixed_samples(), 5) == after.answer(mixed_samples(), 5)
    for item in items:
        item.hidden = hide_separators(item, before.tokenizer.eos_token_id)
    assert torch.equal(before(collate(items)).logits, after(collate(items)).logits)
    with pytest.raises(ValueError, match="hidden tokens cannot be packed"):
        pack(items)


def test_a_pack_of_no_weight_leaves_no_trace(model: DepictQA, encoded: list[Encoded]) -> None:
    assert not gradient(model, [pack(encoded[:1], float("inf"), 300)]).any()
