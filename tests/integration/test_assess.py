"""`program=assess` as a person calls it: on a small random model, from another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

import experiments.schemas  # noqa: F401
from depictqa.testing import random_image, tiny_model
from experiments import assess
from experiments.checkpoints import newest_model
from experiments.jobs import Job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tokenizer_folder, tmp_path_factory) -> Path:
    """A folder of two runs; the second is the newer."""
    folder = tmp_path_factory.mktemp("runs")
    for number, name in enumerate(("b_old", "a_new")):
        tiny_model(tokenizer_folder, seed=number).save_pretrained(folder / "full_mix" / name / "model")
        os.utime(folder / "full_mix" / name / "model" / "model.safetensors", (number, number))
    return folder


@pytest.fixture
def photo(tmp_path) -> Path:
    random_image((120, 90)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["program=assess", "evaluation.max_new_tokens=4", "trainer.accelerator=cpu", *overrides])


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "program=assess", *words], cwd=cwd, capture_output=True, text=True
    )


def test_json_is_all_that_stands_on_stdout(runs, photo, tmp_path):
    done = command(f"checkpoint={runs}/full_mix/a_new", f"image={photo}", f"other={photo}", "format=json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["task"] == "reasoning" and record["better"] in ("a", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]  # no run folder, no log


def test_a_mistake_is_one_line_and_exit_code_1(tmp_path):
    done = command("image=nowhere.png", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip() == "error: image 'nowhere.png' not found; check the path"


def test_one_image_is_described_in_words_by_the_newest_model(runs, photo, capsys):
    assert newest_model(runs) == runs / "full_mix" / "a_new" / "model"
    assert assess.run(config(f"paths.runs={runs}", f"image={photo}", f"reference={photo}")) == {}
    shown = capsys.readouterr()
    assert shown.out.strip() and "a_new" in shown.err


def test_a_sweeps_job_is_not_the_newest_run(tmp_path):
    for number, name in enumerate(("run", "sweep/0")):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
        os.utime(folder / "model.safetensors", (number, number))
    Job(tmp_path / "sweep" / "0", ("seed=1",)).save()
    assert newest_model(tmp_path) == tmp_path / "run" / "model"
    with pytest.raises(FileNotFoundError, match="a sweep's job is only taken by name"):
        newest_model(tmp_path / "sweep")


@pytest.mark.parametrize("named", ["", "model", "checkpoints"])
def test_of_a_cut_run_it_is_said_what_goes_on_with_it(tmp_path, photo, named):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(FileNotFoundError, match=f"its training was cut; `python run.py resume={tmp_path}/run` goes on"):
        assess.run(config(f"checkpoint={tmp_path / 'run' / named}", f"image={photo}"))


def test_a_question_of_ones_own_is_asked(runs, photo, capsys):
    assess.run(config(f"checkpoint={runs}/full_mix/a_new", f"image={photo}", "question='Is it sharp?'", "format=json"))
    assert json.loads(capsys.readouterr().out)["question"] == "Is it sharp?"


@pytest.mark.parametrize(
    ("overrides", "kind", "says"),
    [
        (["image=null"], ValueError, "give image=PATH"),
        (["format=xml"], ValueError, "format 'xml' unknown; choose text, json"),
        (["checkpoint=nowhere"], FileNotFoundError, "checkpoint 'nowhere' holds no model"),
        (["paths.runs=nowhere"], FileNotFoundError, "no trained model under 'nowhere'"),
        (["reference=nowhere.png"], FileNotFoundError, "nowhere.png"),
        (["other={folder}"], ValueError, "is a folder"),
    ],
)
def test_what_is_missing_is_named(photo, capsys, overrides, kind, says):
    overrides = [override.format(folder=photo.parent) for override in overrides]
    with pytest.raises(kind, match=says) as caught:
        assess.run(config(f"image={photo}", *overrides))
    assert "\n" not in str(caught.value) and capsys.readouterr().out == ""


def test_an_image_over_the_limit_is_refused_before_it_is_decoded(photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"photo\.jpg.*100"):
        assess.run(config(f"image={photo}"))


def test_released_weights_answer_too(capsys):
    zoo = ROOT / "tests" / "golden" / "official_tiny"
    images = [f"image={zoo}/images/a.png", f"other={zoo}/images/b.png", f"reference={zoo}/images/ref.png"]
    cfg = config(f"checkpoint={zoo}/ckpt.pt", "model.language.lora_alpha=8", *images, "format=json")
    found = assess.run(cfg)
    record = json.loads(capsys.readouterr().out)
    assert record["probability_of_a"] == found["probability_of_a"]
    assert list(record["images"]) == ["reference", "a", "b"]
