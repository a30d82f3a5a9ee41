"""Levels of quality from one forward; A or B stands in test_generation.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depictqa.batch import collate
from depictqa.image import ImageGeometry
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Slot, Task
from depictqa.scoring import LEVEL_ANSWER, LEVELS, level_probabilities, next_log_probs, quality_scores
from depictqa.testing import make_sample, tiny_model


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> DepictQA:
    model = tiny_model(tokenizer_folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def images(count: int):
    return [
        make_sample(Task.ASSESSMENT, {Slot.A: (40 + 9 * n, 60)}, "How good is the image?", "", f"i{n}", seed=n)
        for n in range(count)
    ]


def test_levels_are_the_models_own_logits_at_the_word(model):
    samples = images(3)
    got = level_probabilities(model, samples, batch_size=2)
    for sample, probabilities in zip(samples, got, strict=True):
        answered = make_sample(
            sample.task, {Slot.A: sample.images[Slot.A].size}, "How good is the image?",
            LEVEL_ANSWER.format(level="bad"), seed=int(sample.key[1]),
        )  # fmt: skip
        encoded = model.encoder.encode(answered)
        pieces = model.tokenizer.convert_ids_to_tokens(encoded.ids.tolist())
        at = max(i for i in range(len(pieces)) if pieces[i : i + 3] == ["b", "a", "d"])
        logits = model.language(model.embed(collate([encoded])), torch.tensor([at - 1]))[0]
        letters = [model.tokenizer.convert_tokens_to_ids(level[0]) for level in LEVELS]
        torch.testing.assert_close(probabilities, logits[letters].softmax(-1))


def test_scores_are_the_mean_level_and_do_not_depend_on_the_batch(model):
    samples = images(5)
    together, alone = quality_scores(model, samples, 5), quality_scores(model, samples, 1)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    shares = level_probabilities(model, samples)
    assert together.tolist() == pytest.approx([(row * torch.arange(1, 6)).sum().item() for row in shares])
    assert ((together > 1) & (together < 5)).all() and together.std() > 0
    assert quality_scores(model, []).shape == (0,)


def test_a_model_that_says_one_level_scores_it(model, monkeypatch):
    letter = model.tokenizer.convert_tokens_to_ids("g")

    def sure(embeds, rows, *_):
        logits = torch.zeros(len(rows), len(model.tokenizer))
        logits[:, letter] = 50
        return logits

    monkeypatch.setattr(model.language, "forward", sure)
    assert quality_scores(model, images(2)).tolist() == pytest.approx([4, 4])


def test_words_that_begin_alike_are_named(model):
    with pytest.raises(ValueError, match="'good', 'great', 'bad' do not part at one token"):
        next_log_probs(model, images(1), ["good", "great", "bad"])


def test_images_are_prepared_once_for_all_answers(model, monkeypatch):
    prepared = []
    prepare = ImageGeometry.prepare
    monkeypatch.setattr(ImageGeometry, "prepare", lambda *arguments: prepared.append(1) or prepare(*arguments))
    level_probabilities(model, images(3))
    assert len(prepared) == 3
