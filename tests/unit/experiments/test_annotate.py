"""`program=annotate`, `revise` and `agreement`: what is asked for, and what is told."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from datamodules.annotations import Annotation, write_annotations
from depictqa.questionnaire import Level, Questionnaire
from depictqa.sample import Slot
from depictqa.testing import random_image
from experiments import agreement, annotate, revise


def config(**changed):
    names = ("raw", "out", "annotator", "annotations", "images")
    return SimpleNamespace(**{**dict.fromkeys(names), "port": 0, **changed})


def test_what_is_not_said_is_asked_for():
    with pytest.raises(ValueError, match="raw=ITEMS out=FILE annotator=NAME"):
        annotate.run(config(raw="items.jsonl", out="out.jsonl"))
    with pytest.raises(ValueError, match="raw=DRAFTS annotations=FILE out=FILE annotator=NAME"):
        revise.run(config(raw="drafts.jsonl", out="out.jsonl", annotator="ada"))
    with pytest.raises(ValueError, match="raw=annotations.jsonl"):
        agreement.run(config())


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    random_image((8, 8)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "datamodules.pages.application", raising=False)
    with pytest.raises(ValueError, match="^pages need 'gradio', which is not installed; uv sync --extra page$"):
        annotate.run(config(raw=str(tmp_path), out=str(tmp_path / "out.jsonl"), annotator="ada"))


def test_agreement_is_a_table_and_metrics(tmp_path, capsys):
    path = tmp_path / "annotations.jsonl"
    levels = {"ada": "msm", "bob": "mss"}
    words = {"m": Questionnaire(noise=Level.MILD), "s": Questionnaire(noise=Level.SEVERE)}
    write_annotations(
        path,
        [
            Annotation(str(key), name, {Slot.A: "a.png"}, {Slot.A: words[letter]})
            for name, letters in levels.items()
            for key, letter in enumerate(letters)
        ],
    )
    metrics = agreement.run(config(raw=str(path)))
    assert metrics["agreement/noise"] == pytest.approx(2 / 3) and metrics["num_cases/noise"] == 3
    assert metrics["kappa/noise"] == pytest.approx(0.4)  # (2/3 - 4/9) / (1 - 4/9)
    assert "kappa/blur" not in metrics and metrics["agreement/blur"] == 1
    table = capsys.readouterr().out
    assert "agreement of ada, bob" in table and "Cohen's kappa" in table
    blur = next(line for line in table.splitlines() if "blur" in line)
    assert blur.split() == ["│", "blur", "│", "3", "│", "1.000", "│", "-", "│"]
