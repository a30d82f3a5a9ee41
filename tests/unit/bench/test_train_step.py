"""All rungs of the ladder compute one loss, on the same samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import train_step


def test_a_small_run(capsys, tmp_path: Path) -> None:
    import torch

    threads = torch.get_num_threads()
    given = ["--size", "tiny", "--samples", "16", "--rounds", "2", "--workers", "0", "--backend", "eager"]
    given += ["--profile", str(tmp_path / "profile.txt")]
    try:
        found = train_step.main(train_step.arguments([*given, "--json"]))
    finally:
        torch.set_num_threads(threads)
        torch._dynamo.reset()
    printed = capsys.readouterr()
    assert json.loads(printed.out) == found
    assert "round 2: + frozen weights in float8: " in printed.err, "figures as they come"
    assert [row["rung"] for row in found["rows"]] == list(train_step.RUNGS)
    for row in found["rows"]:
        assert len(row["samples_per_second"]) == 2 and 0 < min(row["mfu"]) and max(row["waiting_for_data"]) < 1
        assert row["first_mean_loss"] == pytest.approx(found["rows"][0]["first_mean_loss"], rel=1e-2)
    assert "aten::mm" in (tmp_path / "profile.txt").read_text()
    train_step.show(found)
    assert "+ supervised head: ours" in capsys.readouterr().out


def test_flops_of_the_papers_average_sample(tmp_path: Path) -> None:
    """The issue's 20.1 TFLOP of 739 tokens and 2.24 images."""
    import torch

    from depictqa.encode import Encoded
    from depictqa.testing import tiny_tokenizer

    model = train_step.build_model("paper", tiny_tokenizer(tmp_path), torch.device("meta"))
    flops = {}
    for images in (2, 3):
        labels = torch.full((739,), -100)
        labels[-30:] = 1
        encoded = Encoded("x", torch.zeros(739), labels, image_lengths=[256] * images)
        flops[images] = train_step.model_flops(model, encoded) / 1e12
    assert 0.76 * flops[2] + 0.24 * flops[3] == pytest.approx(20.1, rel=0.01)
