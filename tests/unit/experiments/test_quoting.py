"""Text as a person types it reaches the program as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import experiments.schemas  # noqa: F401
from experiments.command import RUN
from experiments.quoting import as_typed, override, quoted

TEXTS = [
    "What colour is it, really?",
    "What's wrong with it?",
    "Is it sharp (or not)?",
    "Is it \"sharp\", or 'not'?",
    "a = b == c",
    "=",
    "C:\\dir\\it's\\",
    "\\' \\\\, \\",
    "Ist das Bild größer? 好 🙂",
    "ends so\\\n",
    "first line\nsecond's line",
    "[a, b]",
    "{a: 1}",
    "it's ${seed}",
    "007",
    "true",
    "#1: 50 % & $x `y` ~ * !",
    "my photo [1], (2)=3.png",
]


def question(word: str) -> str | None:
    with initialize_config_dir(str(Path(RUN).parent / "conf"), version_base="1.3"):
        return compose("run", [word]).question


@pytest.mark.parametrize("text", TEXTS)
def test_a_question_is_what_was_typed(text: str) -> None:
    (word,) = quoted([f"question={text}"])
    assert question(word) == text
    assert quoted([word]) == [word]  # a program that is started again is given the same words
    assert question(override("question", text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_shell_is_shown_what_to_type(text: str) -> None:
    (word,) = shlex.split(as_typed(f"question={text}"))
    assert question(word) == text


def test_only_what_needs_it_is_quoted_again() -> None:
    assert as_typed("question=What colour is it, really?") == "question='\"What colour is it, really?\"'"
    words = [
        *("program=assess", "seed=1,2", "baseline=[psnr]", "--cfg", "job", "name=a,b", "runs=[a,b]"),
        *("question=", "question=null", "question='a, b'", 'question="it\'s"', "question=What is it?"),
        *("image=a\\,b.png", "image=my photo.png", "reference=${oc.env:HOME}", "other=C:\\a.png"),
    ]
    assert quoted(words) == words


@pytest.mark.parametrize("sweep", ["-m", "--multirun", "ablation=data_mix", "hydra.mode=MULTIRUN"])
def test_a_sweep_stays_as_it_is(sweep: str) -> None:
    words = ["question=a,b", "image=a.png,b.png", "checkpoint=it's", sweep]
    assert quoted(words) == words
