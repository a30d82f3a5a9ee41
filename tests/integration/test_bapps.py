"""`program=evaluate evaluation=bapps` as a person calls it: a small random model on BAPPS in small, in its layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

import experiments.evaluate
import experiments.schemas  # noqa: F401
from datamodules.building import build
from datamodules.sources import bapps
from depictqa.evaluation.evaluate import score_folder
from depictqa.evaluation.result import read_results
from depictqa.evaluation.score import flat_metrics
from depictqa.testing import random_image, tiny_model
from experiments.answerers import open_baselines, our_answerer
from experiments.prepare import missing_benchmark

ROOT = Path(__file__).resolve().parents[2]
JUDGES = [0.0, 0.2, 1.0]


def write_raw(raw: Path) -> None:
    """p0 is the reference with a little noise, p1 with much."""
    for subset in ("traditional", "cnn"):
        for number, judge in enumerate(JUDGES):
            reference = np.asarray(random_image((64, 64), number), dtype=float)
            noise = np.random.default_rng(number).normal(size=reference.shape)
            for member, sigma in (("ref", 0), ("p0", 5), ("p1", 50)):
                file = raw / "val" / subset / member / f"{number:06d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.clip(reference + sigma * noise, 0, 255).astype(np.uint8)
                bapps.Image.fromarray(pixels).save(file)
            file = raw / "val" / subset / "judge" / f"{number:06d}.npy"
            file.parent.mkdir(exist_ok=True)
            np.save(file, np.array([judge], dtype=np.float32))


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bapps")
    write_raw(folder / "raw")
    parts = bapps.parts(folder / "raw", seed=0, sets=["val"], subsets=["traditional", "cnn"])
    build(parts, folder / "shards", seed=0)
    return folder / "shards"


def composed(*words: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["program=evaluate", "evaluation=bapps", "evaluation.max_new_tokens=4", *words])


def answerers(cfg, tokenizer_folder):
    return [our_answerer(tiny_model(tokenizer_folder), cfg), *open_baselines(cfg)]


def test_the_model_and_metrics_stand_beside_the_human_rows(shards, tokenizer_folder, tmp_path, capsys):
    cfg = composed(f"evaluation.root={shards}", "evaluation.swap=true")
    assert not list(missing_benchmark(cfg))
    metrics = experiments.evaluate.evaluate(answerers(cfg, tokenizer_folder), cfg, tmp_path)

    for subset, n in (("traditional", 3), ("cnn", 3), ("overall", 6)):
        psnr = f"test/bapps/psnr/full_reference/votes/{subset}"
        assert metrics[f"{psnr}/n"] == metrics[f"{psnr}/num_swapped"] == n
        assert metrics[f"{psnr}/scores/two_afc"] == pytest.approx((1 + 0.8 + 0) / 3)
        assert metrics[f"{psnr}/scores/majority_accuracy"] == pytest.approx(2 / 3)
        assert metrics[f"{psnr}/scores/swap_consistency"] == 1
        assert metrics[f"{psnr}/human_leave_one_out"] == pytest.approx((1 + 0.6 + 1) / 3)
        for reference in ("full_reference", "no_reference"):
            for kind in ("answer", "scores"):
                for figure in ("two_afc", "two_afc_low", "two_afc_high", "majority_accuracy", "swap_consistency"):
                    assert 0 <= metrics[f"test/bapps/{reference}/votes/{subset}/{kind}/{figure}"] <= 1
    assert not any("psnr/no_reference" in name for name in metrics)

    results = read_results(tmp_path / "results" / "bapps.jsonl")
    assert len(results) == len({result.key for result in results}) == 2 * 2 * 6
    assert {result.subset for result in results} == {"traditional", "cnn"}
    assert all(
        result.truth.keys() >= {"vote", "num_votes"} and result.scores.keys() == {"a", "b"} for result in results
    )
    assert flat_metrics(score_folder(tmp_path)) == metrics
    shown = capsys.readouterr().out
    for row in ("human (plug-in)", "ceiling", "depictqa, answer", "depictqa, A or B", "psnr", "ssim"):
        assert row in shown
    json.dumps(metrics, allow_nan=False)


def test_shards_that_are_not_there_or_not_of_bapps_are_named(tokenizer_folder, tmp_path):
    (message,) = missing_benchmark(composed(f"evaluation.root={tmp_path}"))
    assert f"{tmp_path}/test" in message and "program=build source=bapps" in message
    with pytest.raises(ValueError, match="'synthetic/0001/0' is no sample of BAPPS"):
        bapps.subset_of("synthetic/0001/0")
