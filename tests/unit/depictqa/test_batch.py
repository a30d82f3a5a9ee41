"""Streams and batches: what is supervised, where images go, and how losses add up."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from depictqa.batch import collate
from depictqa.encode import IGNORE_INDEX, Encoder
from depictqa.loss import batch_loss, sample_losses
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Slot, Task
from depictqa.testing import make_sample, mixed_samples, tiny_model


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> DepictQA:
    return tiny_model(tokenizer_folder)


@pytest.fixture
def encoder(model: DepictQA) -> Encoder:
    return model.encoder


def test_answer_and_its_end_are_supervised(encoder: Encoder) -> None:
    encoded = encoder.encode(make_sample(answer="Image B"))
    supervised = encoded.labels[encoded.labels != IGNORE_INDEX]
    assert encoder.tokenizer.decode(supervised, skip_special_tokens=True).strip() == "Image B"
    assert supervised[-1] == encoder.tokenizer.eos_token_id
    assert encoded.ids[0] == encoder.tokenizer.bos_token_id
    assert torch.equal(encoded.ids[encoded.labels != IGNORE_INDEX], supervised)


def test_length_is_known_without_decoding(encoder: Encoder) -> None:
    for sample in mixed_samples():
        sizes = {slot: image.size for slot, image in sample.images.items()}
        assert encoder.length(sample.task, sizes, sample.dialogue) == len(encoder.encode(sample))
        cropped = encoder.encode(sample, np.random.default_rng(0))
        assert len(cropped) <= len(encoder.encode(sample))


def test_text_is_cut_after_the_last_image(encoder: Encoder) -> None:
    short = Encoder(encoder.tokenizer, encoder.style, encoder.geometry, encoder.image_tokens, max_text_tokens=7)
    encoded = short.encode(make_sample(answer="Image A " * 50))
    last = encoded.image_starts[-1] + encoded.image_lengths[-1]
    assert len(encoded) - last == 7


def test_encoder_travels_to_workers(encoder: Encoder) -> None:
    sample = make_sample()
    copied = pickle.loads(pickle.dumps(encoder)).encode(sample)
    assert torch.equal(copied.ids, encoder.encode(sample).ids)


def test_equal_images_are_encoded_once(encoder: Encoder) -> None:
    sample = make_sample(sizes={Slot.REFERENCE: (64, 64), Slot.A: (64, 64), Slot.B: (64, 64)})
    batch = collate([encoder.encode(sample), encoder.encode(sample)])
    assert sum(len(group) for group in batch.pixels) == 3
    assert len(batch.image_positions) == 2 * sum(encoder.encode(sample).image_lengths)


def test_features_land_in_their_slots(model: DepictQA) -> None:
    samples = mixed_samples()
    encoded = [model.encoder.encode(sample) for sample in samples]
    batch = collate(encoded)
    assert len({tuple(group.shape[2:]) for group in batch.pixels}) == len(batch.pixels) > 2
    embeds = model.embed(batch)
    for row, item in enumerate(encoded):
        for pixels, start, length in zip(item.pixels, item.image_starts, item.image_lengths, strict=True):
            alone = model.projector(model.vision(torch.tensor(pixels).permute(2, 0, 1)[None]))[0]
            torch.testing.assert_close(embeds[row, start : start + length], alone)
        text = item.labels.new_ones(len(item), dtype=torch.bool)
        for start, length in zip(item.image_starts, item.image_lengths, strict=True):
            text[start : start + length] = False
        torch.testing.assert_close(embeds[row, : len(item)][text], model.language.embed(item.ids[text]))


def test_loss_is_the_mean_over_samples_of_their_token_means(model: DepictQA) -> None:
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
    alone = torch.stack([batch_loss(model(collate([item]))) for item in encoded])
    together = model(collate(encoded))
    torch.testing.assert_close(batch_loss(together), alone.mean())
    torch.testing.assert_close(sample_losses(together), alone.detach())


def test_gradients_do_not_depend_on_the_cut(model: DepictQA) -> None:
    """One batch, or several with the step's denominator: the same gradient (DESIGN section 4)."""
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]

    def gradient(cuts: list[list[int]]) -> torch.Tensor:
        model.zero_grad()
        for cut in cuts:
            batch_loss(model(collate([encoded[index] for index in cut], denominator=len(encoded)))).backward()
        return torch.cat([p.grad.flatten() for p in model.trained_state_dict().values() if p.grad is not None])

    whole = gradient([[0, 1, 2, 3, 4]])
    for cuts in ([[0], [1], [2], [3], [4]], [[4, 1], [0, 3, 2]]):
        assert float((gradient(cuts) - whole).norm() / whole.norm()) <= 1e-5


def test_hidden_tokens_are_not_attended_to(model: DepictQA) -> None:
    item = model.encoder.encode(make_sample(Task.REASONING, answer="Image A is clearly better."))
    seen = batch_loss(model(collate([item])))
    item.hidden = torch.zeros(len(item), dtype=torch.bool)
    torch.testing.assert_close(batch_loss(model(collate([item]))), seen)
    item.hidden[3] = True
    hidden = batch_loss(model(collate([item])))
    assert abs((hidden - seen).item()) > 1e-6
    item.ids = item.ids.clone()
    item.ids[3] = 11  # what is hidden may be anything
    torch.testing.assert_close(batch_loss(model(collate([item]))), hidden)
