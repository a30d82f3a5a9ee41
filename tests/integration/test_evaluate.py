"""`program=evaluate` as a person calls it: a small random model on a few shards, then its table without the model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

import experiments.evaluate
import experiments.schemas
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from datamodules.writers.forms import fill_questionnaire
from depictqa.evaluation.result import read_results
from depictqa.sample import Distortion, Slot, Task, Truth, Turn
from depictqa.testing import random_image, tiny_model
from experiments.answerers import our_answerer

ROOT = Path(__file__).resolve().parents[2]
NUM_RECORDS = 3


def record(number: int) -> Record:
    """A is the reference with much noise, B with a little: B is better."""
    reference = random_image((48, 40), number)
    noise = np.random.default_rng(number).normal(size=(40, 48, 3))
    pixels = {slot: np.asarray(reference) + sigma * noise for slot, sigma in ((Slot.A, 60), (Slot.B, 6))}
    images = {slot: Image.fromarray(np.clip(value, 0, 255).astype(np.uint8)) for slot, value in pixels.items()}
    distortions = {Slot.A: (Distortion("noise", "gaussian_rgb", 5),), Slot.B: (Distortion("noise", "gaussian_rgb", 1),)}
    forms = {slot: fill_questionnaire(found) for slot, found in distortions.items()}
    pair = Truth(better=Slot.B, distortions=distortions, questionnaires=forms)
    single = Truth(distortions={Slot.A: distortions[Slot.A]}, questionnaires={Slot.A: forms[Slot.A]})
    samples = []
    for extra in ((Slot.REFERENCE,), ()):
        both = (*extra, Slot.A, Slot.B)
        samples += [
            RecordSample(Task.COMPARISON, both, (Turn("Which image is better?", "Image B"),), pair),
            RecordSample(Task.REASONING, both, (Turn("Compare.", "Image A is severely noisy, so B wins."),), pair),
            RecordSample(Task.DESCRIPTION, (*extra, Slot.A), (Turn("Describe.", "Severe noise."),), single),
        ]
    return Record(f"{number:04d}", {Slot.REFERENCE: reference, **images}, tuple(samples), f"photo{number}")


@pytest.fixture(scope="module")
def work(tokenizer_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    tiny_model(tokenizer_folder).save_pretrained(folder / "model")
    with ShardWriter(folder / "shards", "test", source="made", licence="CC0-1.0", seed=1) as writer:
        for number in range(NUM_RECORDS):
            writer.write(record(number))
    return folder


def evaluate(work: Path, *words: str) -> subprocess.CompletedProcess:
    options = ["program=evaluate", "data=templated", "data.root=shards", "scale.synthetic=null", "hydra.run.dir=out"]
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *options, *words], cwd=work, capture_output=True, text=True
    )


def test_figures_results_and_the_table_are_left_and_can_be_made_again(work):
    done = evaluate(work, "checkpoint=model", "evaluation.max_new_tokens=4", "trainer.accelerator=cpu")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((work / "out" / "metrics.json").read_text())
    assert metrics["test/comparison/n"] == 2 * NUM_RECORDS
    for metric in ("accuracy", "share_parsed", "full_reference/accuracy", "no_reference/accuracy"):
        assert 0 <= metrics[f"test/comparison/{metric}"] <= 1
    assert metrics["test/comparison/psnr/accuracy"] == metrics["test/comparison/ssim/accuracy"] == 1
    assert metrics["test/comparison/psnr/n"] == NUM_RECORDS
    for benchmark in ("description", "reasoning"):
        assert 0 <= metrics[f"test/{benchmark}/no_reference/field_accuracy"] <= 1
    assert metrics["test/loss/loss"] > 0 and metrics["test/loss/n"] == 6 * NUM_RECORDS
    results = read_results(work / "out" / "results" / "comparison.jsonl")
    assert len({result.key for result in results}) == 2 * NUM_RECORDS
    assert all(result.truth["better"] == "b" for result in results)
    assert "psnr" in done.stdout and "skip samples without" in done.stdout

    again = evaluate(work, "evaluation.results=out", "hydra.run.dir=again")
    assert again.returncode == 0, again.stderr
    assert json.loads((work / "again" / "metrics.json").read_text()) == metrics
    assert table(again.stdout) == table(done.stdout)


@pytest.mark.parametrize(
    "word", ["evaluation.tasks=[comparison]", "evaluation=bapps", "baseline=[vif]", "checkpoint=m"]
)
def test_results_that_are_there_are_asked_nothing(tmp_path, write_run, word):
    write_run(tmp_path / "from", num=2)
    done = evaluate(tmp_path, "evaluation.results=from", word)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    said = "evaluation.results takes answers as they are; leave it out, or ask anew without"
    assert done.stderr == f"error: {word}: {said}\n"


def test_results_keep_their_evaluations_name_and_split(tmp_path, write_run):
    write_run(tmp_path / "from", num=2)
    (tmp_path / "from" / "config.yaml").write_text("evaluation: {name: bapps, split: val}")
    done = evaluate(tmp_path, "evaluation.results=from")
    assert done.returncode == 0 and "bapps (val)" in done.stdout
    assert all(name.startswith("val/") for name in json.loads((tmp_path / "out" / "metrics.json").read_text()))


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("│", "┃"))]


def test_a_model_that_is_not_there_is_one_line(work):
    done = evaluate(work, "checkpoint=nowhere", "hydra.run.dir=none")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: checkpoint 'nowhere' holds no model")
    assert not (work / "none" / "metrics.json").exists()


def test_a_split_that_is_not_there_is_one_line(work, tokenizer_folder, tmp_path):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("run", ["data=templated", f"data.root={work}/shards", "evaluation.split=val"])
    with pytest.raises(FileNotFoundError, match="shards/val"):
        experiments.evaluate.evaluate([our_answerer(tiny_model(tokenizer_folder), cfg)], cfg, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_evaluation_goes_on(work):
    words = ("checkpoint=model", "evaluation.max_new_tokens=4", "evaluation.batch_size=2", "trainer.accelerator=cpu")
    whole = evaluate(work, *words, "hydra.run.dir=whole")
    assert whole.returncode == 0, whole.stderr
    cut = work / "cut"
    shutil.copytree(work / "whole", cut)
    for name in ("loss", "reasoning"):
        path = cut / "results" / f"{name}.jsonl"
        text = path.read_text()
        path.unlink()
        if name == "reasoning":
            (cut / "results" / f"{name}.jsonl.partial").write_text(text[: len(text) // 2])
    (cut / "metrics.json").unlink()
    done = evaluate(work, "resume=cut", "baseline=[psnr,ssim,fsim]")
    assert done.returncode == 0, done.stderr
    for path in (work / "whole" / "results").iterdir():
        assert (cut / "results" / path.name).read_bytes() == path.read_bytes()
    metrics, own = (json.loads((work / name / "metrics.json").read_text()) for name in ("cut", "whole"))
    assert metrics["test/comparison/fsim/n"] == NUM_RECORDS and metrics.items() > own.items()
    assert "evaluated description" not in done.stdout and "evaluated reasoning" in done.stdout


def test_an_image_that_cannot_be_read_is_in_the_foot_and_the_exit_code(work, tmp_path):
    shutil.copytree(work / "shards", tmp_path / "shards")
    (tar,) = (tmp_path / "shards" / "test").glob("*.tar")
    index = json.loads(next((tmp_path / "shards" / "test").glob("*.index.json")).read_text())
    offset, size = index["records"][0]["images"]["b"][:2]
    content = bytearray(tar.read_bytes())
    content[offset : offset + size] = bytes(size)
    tar.write_bytes(content)
    done = evaluate(
        work, f"data.root={tmp_path}/shards", "model_under_test=none", "baseline=[psnr]", "hydra.run.dir=bad"
    )
    assert done.returncode == 2, done.stderr
    assert f"1 of {NUM_RECORDS} (comparison, psnr)" in done.stdout
    assert json.loads((work / "bad" / "metrics.json").read_text())["test/comparison/psnr/num_errors"] == 1
    (unread,) = [r for r in read_results(work / "bad" / "results" / "comparison.psnr.jsonl") if r.error]
    assert unread.truth["better"] == "b" and unread.parsed is None


def test_questions_are_written_and_answers_to_them_are_a_model_under_test(work):
    done = evaluate(work, "program=questions", "out=asked")
    assert done.returncode == 0, done.stderr
    answers = []
    for name in ("comparison", "description", "reasoning"):
        for line in (work / "asked" / name / "questions.jsonl").read_text().splitlines():
            asked = json.loads(line)
            assert all((work / "asked" / name / image).is_file() for image in asked["images"].values())
            answers.append({key: asked[key] for key in ("key", "task", "full_reference")} | {"prediction": "Image B"})
    (work / "theirs.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    words = ("model_under_test=answers", "path=theirs.jsonl", "hydra.run.dir=theirs")
    done = evaluate(work, *words)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((work / "theirs" / "metrics.json").read_text())
    assert metrics["test/comparison/theirs/accuracy"] == 1 and "test/loss/loss" not in metrics
