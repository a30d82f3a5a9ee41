"""Greedy answers do not depend on their batch, agree with a plain loop, and with A or B from logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from depictqa.batch import collate
from depictqa.generation import as_questions
from depictqa.models.config import LanguageConfig
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Sample, Slot, Task, Turn
from depictqa.scoring import probability_of_a
from depictqa.testing import make_sample, mixed_samples, overfit, random_image, tiny_config, tiny_model


@pytest.fixture(scope="module", params=["full", "lora"])
def model(tokenizer_folder: Path, request: pytest.FixtureRequest) -> DepictQA:
    language = LanguageConfig(**{**vars(tiny_config(tokenizer_folder).language), "tuning": request.param})
    model = tiny_model(tokenizer_folder, language=language)
    with torch.no_grad():  # fresh weights say one token only
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def plain_greedy(model: DepictQA, sample: Sample, steps: int) -> list[int]:
    """Without cache, padding or batch: the whole stream again for each token."""
    encoded = model.encoder.encode(as_questions([sample])[0])
    embeds = model.embed(collate([encoded]))
    ids: list[int] = []
    for _ in range(steps):
        logits = model.language(embeds, torch.tensor([embeds.shape[1] - 1]))
        ids.append(int(logits[0].argmax()))
        if ids[-1] == model.tokenizer.eos_token_id:
            break
        embeds = torch.cat([embeds, model.language.embed(torch.tensor([[ids[-1]]]))], dim=1)
    return ids


def test_batched_answers_equal_a_plain_loop(model: DepictQA) -> None:
    samples = mixed_samples()
    answers = model.answer(samples, max_new_tokens=12, batch_size=len(samples))
    assert len({tuple(answer.token_ids) for answer in answers}) > 1
    for sample, answer in zip(samples, answers, strict=True):
        assert answer.token_ids == plain_greedy(model, sample, 12)


def test_an_answer_does_not_depend_on_its_batch(model: DepictQA) -> None:
    samples = [replace(sample, key=f"{n}") for n in range(4) for sample in mixed_samples()]
    alone = model.answer(samples[::-1], 10, batch_size=1)[::-1]
    assert len({tuple(answer.token_ids) for answer in alone}) > 1
    for batch_size in (4, 16):
        together = model.answer(samples, 10, batch_size)
        for one, other in zip(alone, together, strict=True):
            assert one.token_ids == other.token_ids
            assert one.token_probs == pytest.approx(other.token_probs, abs=1e-5)


def test_a_or_b_does_not_depend_on_its_batch(model: DepictQA) -> None:
    sizes = [(64, 64), (90, 30), (30, 80), (50, 40)]
    samples = [
        make_sample(sizes={Slot.A: a, Slot.B: b}, seed=4 * n + m)
        for n, a in enumerate(sizes)
        for m, b in enumerate(sizes)
    ]
    alone = probability_of_a(model, samples, 1)
    assert alone.std() > 1e-3
    for batch_size in (4, 16):
        torch.testing.assert_close(probability_of_a(model, samples, batch_size), alone, rtol=0, atol=1e-5)


def test_a_or_b_in_one_forward_is_what_greedy_decoding_says(tokenizer_folder: Path) -> None:
    """On every pair, those of its training and others, of a model that has learned the form of the answer."""
    model = tiny_model(tokenizer_folder)
    samples = []
    for n in range(24):
        better, worse = random_image((56, 56), n), Image.new("RGB", (56, 56), (9 * n, 90, 160))
        truth = "A" if n % 3 else "B"
        images = {Slot.A: better, Slot.B: worse} if truth == "A" else {Slot.A: worse, Slot.B: better}
        samples.append(Sample(f"{n}", Task.COMPARISON, images, (Turn("Which image is better?", f"Image {truth}"),)))
    overfit(model, samples[:12], 80)
    answers = [answer.text for answer in model.answer(samples, 5)]
    assert set(answers) == {"Image A", "Image B"}
    shares = probability_of_a(model, samples)
    assert ["Image A" if share > 0.5 else "Image B" for share in shares] == answers


def test_the_answer_given_is_not_seen(model: DepictQA) -> None:
    one, other = make_sample(answer="Image A"), make_sample(answer="Image B is clearly better than Image A.")
    assert model.answer([one], 5) == model.answer([other], 5)


def test_answers_end_at_the_end_token(model: DepictQA) -> None:
    for answer in model.answer(mixed_samples(), 40):
        end = model.tokenizer.eos_token_id
        assert end not in answer.token_ids[:-1]
        assert len(answer.token_probs) == len(answer.token_ids)
        assert "</s>" not in answer.text


def test_a_or_b_is_read_at_the_letter(model: DepictQA) -> None:
    samples = [make_sample(seed=seed) for seed in range(4)]
    together = probability_of_a(model, samples, batch_size=4)
    for sample, probability in zip(samples, together, strict=True):
        encoded = model.encoder.encode(sample)
        ids = model.tokenizer.encode("Image A Image B", add_special_tokens=False)
        letters = [ids[1], ids[3]]
        at = encoded.ids.tolist().index(letters[0], int((encoded.labels != -100).nonzero()[0]))
        logits = model.language(model.embed(collate([encoded])), torch.tensor([at - 1]))[0]
        torch.testing.assert_close(logits[letters].softmax(-1)[0], probability)


def test_training_mode_is_restored(model: DepictQA) -> None:
    model.train()
    model.answer([make_sample()], 2)
    probability_of_a(model, [make_sample()])
    assert model.training
    model.eval()
