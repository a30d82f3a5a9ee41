from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from depictqa.baselines.pixel import psnr, ssim
from depictqa.batch import collate
from depictqa.evaluation.answerer import ModelAnswerer
from depictqa.evaluation.evaluate import evaluate, score_folder
from depictqa.evaluation.held_out import held_out_benchmarks
from depictqa.evaluation.result import read_results
from depictqa.evaluation.runner import Runner
from depictqa.loss import sample_losses
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import make_sample, mixed_samples, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def evaluate_held_out(model, samples, folder, baselines=(), batch_size=3, progress=None):
    answerers = [ModelAnswerer(model, max_new_tokens=4, batch_size=batch_size), *baselines]
    return evaluate(held_out_benchmarks(samples), answerers, Runner(folder / "results", batch_size, progress))


def pairs():
    with_reference = {slot: (48, 48) for slot in Slot}
    return [
        make_sample(key=f"pair{n}", sizes=None if n % 2 else with_reference, truth=Truth(better=Slot.A), seed=n)
        for n in range(4)
    ]


def test_a_model_is_evaluated_on_every_task_and_its_scores_come_from_the_files(model, tmp_path):
    samples = [*mixed_samples(), *pairs()]
    told = []
    scores = evaluate_held_out(model, samples, tmp_path, [psnr(), ssim()], progress=lambda *what: told.append(what))
    assert set(scores) == {
        ("comparison", "depictqa"),
        ("comparison", "psnr"),
        ("comparison", "ssim"),
        ("description", "depictqa"),
        ("reasoning", "depictqa"),
        ("content", "depictqa"),
        ("loss", "depictqa"),
    }
    assert scores["comparison", "psnr"]["n"] == 2  # of the pairs whose truth is known, those with a reference
    assert scores["loss", "depictqa"]["n"] == len(samples)
    assert score_folder(tmp_path) == scores
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        f"{name}.jsonl"
        for name in ("comparison", "comparison.psnr", "comparison.ssim", "description", "reasoning", "content", "loss")
    }
    assert ("loss (depictqa)", len(samples), len(samples)) in told


def test_some_tasks_are_asked_and_the_loss_is_of_all(tmp_path):
    samples = [*mixed_samples(), *pairs()]
    chosen = held_out_benchmarks(samples, tasks=[Task.CONTENT])
    assert [(one.name, len(one.samples)) for one in chosen] == [("content", 1), ("loss", len(samples))]


def test_answers_and_scores_are_the_models_own(model, tmp_path):
    from depictqa.scoring import probability_of_a

    samples = pairs()
    evaluate_held_out(model, samples, tmp_path)
    results = read_results(tmp_path / "results" / "comparison.jsonl")
    assert [r.prediction for r in results] == [a.text for a in model.answer(samples, 4)]
    assert [r.scores["a"] for r in results] == pytest.approx(probability_of_a(model, samples).tolist(), abs=1e-5)
    losses = [r.loss for r in read_results(tmp_path / "results" / "loss.jsonl")]
    with torch.inference_mode():
        alone = [sample_losses(model(collate([model.encoder.encode(sample)]))).item() for sample in samples]
    assert losses == pytest.approx(alone, abs=1e-4)


def test_evaluation_leaves_a_training_model_training(model):
    model.train()
    try:
        ModelAnswerer(model, max_new_tokens=2).losses(pairs())
        ModelAnswerer(model, max_new_tokens=2).answer(pairs())
        assert model.training
    finally:
        model.eval()


def test_an_answer_that_is_cut_off_has_no_loss(model, tmp_path):
    long = make_sample(Task.DESCRIPTION, question="why? " * 600, answer="blur", key="long")
    scores = evaluate_held_out(model, [long, *pairs()], tmp_path)
    assert scores["loss", "depictqa"]["n"] == 4
    (cut,) = [r for r in read_results(tmp_path / "results" / "loss.jsonl") if r.key == "long"]
    assert cut.loss is None and "max_text_tokens" in cut.reason


def test_nothing_to_evaluate_on_is_said(model, tmp_path):
    with pytest.raises(ValueError, match="no held-out samples"):
        evaluate_held_out(model, [], tmp_path)
    assert not list(tmp_path.rglob("*.jsonl"))


def test_confidence_is_of_the_letter_the_answer_picks_and_of_named_distortions(model, monkeypatch):
    from depictqa.confidence import TAIL, word_confidence
    from depictqa.generation import Answer
    from depictqa.scoring import ANSWERS, next_log_probs

    in_a_word = [replace(pair, dialogue=(Turn("Which?" + TAIL, "Image A"),)) for pair in pairs()[:3]]
    samples = [*in_a_word, make_sample(Task.IDENTIFICATION, question="What is wrong?" + TAIL)]
    ids = model.tokenizer("noise and blur", add_special_tokens=False)["input_ids"]
    named = Answer("noise and blur", ids, [1 / (n + 2) for n in range(len(ids))])
    answers = [Answer("Image B", [5], [0.5]), Answer("Image A", [5], [0.5]), Answer("none", [5], [0.5]), named]
    monkeypatch.setattr(model, "answer", lambda *_: answers)
    replies = ModelAnswerer(model).answer(samples)
    letters = next_log_probs(model, samples[:3], ANSWERS).exp()
    assert [reply.confidence for reply in replies[:2]] == pytest.approx([float(letters[0, 1]), float(letters[1, 0])])
    assert replies[2].confidence is None and replies[3].confidence == word_confidence(named, model.tokenizer)


def test_a_brief_answer_to_another_question_is_asked_again_for_its_confidence(model):
    from depictqa.confidence import confidences

    samples = [*pairs(), make_sample(Task.IDENTIFICATION, question="What is wrong?")]
    answerer = ModelAnswerer(model, max_new_tokens=4)
    replies = answerer.answer(samples)
    expected = confidences(model, samples, model.answer(samples, 4))
    assert [reply.confidence for reply in replies] == expected
    assert [set(reply.scores) for reply in replies] == [{"a", "b"}] * 4 + [set()]


def test_long_answers_are_weighed_where_sentences_can_be_embedded(model, monkeypatch):
    import numpy as np

    from depictqa.generation import Answer

    text = " ".join(["Noise is visible and the image is grey."] * 3)
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    probs = [0.9 if n == 0 else 0.1 for n in range(len(ids))]
    monkeypatch.setattr(model, "answer", lambda *_: [Answer(text, ids, probs)])
    asked = []

    def embed(texts):
        asked.append(len(texts))
        return np.array([[1.0, 0.0 if "Noise is visible and the image is grey. N" in text else 1.0] for text in texts])

    sample = make_sample(Task.DESCRIPTION, question="Describe it.")
    (reply,) = ModelAnswerer(model, embed=embed).answer([sample])
    assert asked == [len(ids) + 1] and reply.confidence == pytest.approx(0.1)
    assert ModelAnswerer(model).answer([sample])[0].confidence == pytest.approx(np.mean(probs))
