"""A trained vocabulary opens as a LLaMA tokenizer, cuts as SentencePiece does, and decides A or B by one token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer

from datamodules.writers.forms import fill_questionnaire
from datamodules.writers.pools import COMPARISON_ANSWERS, COMPARISON_QUESTIONS
from datamodules.writers.rules import describe
from depictqa.questionnaire import FIELD_OF
from depictqa.sample import Distortion, Slot, Truth
from depictqa.testing import TEXTS
from depictqa.tokenizer import train_tokenizer


def descriptions() -> list[str]:
    rng = np.random.default_rng(0)
    texts = []
    for name in FIELD_OF:
        distortions = (Distortion(name, "any", 4),)
        truth = Truth(distortions={Slot.A: distortions}, questionnaires={Slot.A: fill_questionnaire(distortions)})
        texts += [describe(truth, rng) for _ in range(5)]
    return texts


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*COMPARISON_QUESTIONS, *COMPARISON_ANSWERS, *descriptions()]


@pytest.fixture(scope="module")
def folder(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(texts, tmp_path_factory.mktemp("tokenizer"), 600)


def test_opens_as_a_llama_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer).__name__.startswith("LlamaTokenizer")
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert len(tokenizer) == 600


def test_cuts_as_sentencepiece_does_and_decodes_to_the_same_text(folder: Path, texts: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pieces = SentencePieceProcessor(str(folder / "tokenizer.model"))
    for text in (*texts, "Ungewöhnlich: 北京 3.5 %"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == pieces.encode(text)
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("vocab_size", [330, 600])
def test_a_and_b_differ_in_one_last_whole_piece(vocab_size: int, tmp_path: Path) -> None:
    # 330 leaves room for hardly a merge beside bytes and characters
    tokenizer = AutoTokenizer.from_pretrained(train_tokenizer([*TEXTS, *descriptions()], tmp_path, vocab_size))
    a, b = (tokenizer(f"Image {x}", add_special_tokens=False)["input_ids"] for x in "AB")
    assert a[:-1] == b[:-1] and a[-1] != b[-1]
    assert tokenizer.convert_ids_to_tokens([a[-1], b[-1]]) == ["▁A", "▁B"]


def test_same_texts_give_the_same_bytes(folder: Path, texts: list[str], tmp_path: Path) -> None:
    again = train_tokenizer(texts, tmp_path, 600)
    assert (again / "tokenizer.model").read_bytes() == (folder / "tokenizer.model").read_bytes()


def test_a_size_without_room_for_characters_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary of 100 pieces is too small") as error:
        train_tokenizer(TEXTS, tmp_path, 100)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_size_beyond_the_texts_makes_every_word_one_piece(texts: list[str], tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(train_tokenizer(texts, tmp_path, 30_000))
    assert len(tokenizer) < 3_000
    words = "Which image is of better quality".split()
    assert tokenizer.tokenize(" ".join(words)) == [f"▁{word}" for word in words]
