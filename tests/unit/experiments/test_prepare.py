"""What is missing or cannot be is said before the embedded data are built, which takes minutes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import experiments.schemas  # noqa: F401
from datamodules.sources import synthetic
from experiments import prepare as preparing
from experiments.prepare import build_synthetic, prepare

CONF = Path(__file__).resolve().parents[3] / "conf"


def composed(folder: Path, *words: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("run", ["trainer=cpu", "baseline=[]", *words])
    cfg.paths.data = f"{folder}/tiny"
    return cfg


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are asked for."""
    asked: list[Path] = []
    monkeypatch.setattr(synthetic, "build", lambda out, **options: asked.append(out))
    return asked


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.devices=-1"], "trainer.devices=-1 is not to be had here"),
        (["model.language.path=/nonexistent"], r"folder .* at /nonexistent \(model.language.path\)"),
        (["model.language.tokenizer=/nonexistent"], r"at /nonexistent \(model.language.tokenizer\)"),
        (
            ["data=templated", "data.root=/nonexistent"],
            r"at /nonexistent of train, val, test \(data.root; give",
        ),
        (["data=detailed", "data.root=/x/detailed"], r"/x/detailed of .*; `run.py .* out=/x`\)"),
        (["evaluation=bapps", "evaluation.root=/nonexistent"], "evaluation=bapps has no shards at /nonexistent/test"),
        (["evaluation.split=foo"], "evaluation.split 'foo' unknown"),
        (["evaluation=levels"], "say whose scores: source=kadid"),
        (["evaluation=levels", "source=koniq"], "made from files; give their folder or archive"),
        (["evaluation=votes", "source=kadid", "raw=/nonexistent"], "'/nonexistent' is not a folder"),
        (["data.packing=foo"], "data.packing 'foo' unknown; choose none, step, window"),
        (["data.references=foo"], "data.references 'foo' unknown"),
        (["data.pack_length=64"], "data.pack_length is 64, but data.packing is none"),
        (["data.batch_size=0"], "data.batch_size is 0"),
        (["model.language.tuning=foo"], "model.language.tuning 'foo' unknown"),
        (["baseline=answers", "path=/nonexistent"], "/nonexistent"),
        (
            ["trainer.early_stopping.monitor=val/foo"],
            "trainer.early_stopping.monitor 'val/foo' unknown; choose val/loss, val/templated/loss, val/detailed",
        ),
        (["data=external", "trainer.early_stopping.monitor=val/detailed/loss"], "choose val/loss, val/external/loss$"),
    ],
)
def test_nothing_is_built_for_a_run_that_cannot_be(
    tmp_path: Path, built: list[Path], words: list[str], message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare(composed(tmp_path, *words))
    assert not built


@pytest.mark.parametrize(
    "words", [[], ["data=templated"], ["data=without_external", "trainer.early_stopping.monitor=val/external/loss"]]
)
def test_what_is_to_be_built_is_not_missing(tmp_path: Path, built: list[Path], words: list[str]) -> None:
    prepare(composed(tmp_path, *words))
    assert built == [tmp_path / "tiny"]


@pytest.mark.parametrize(("seconds", "told"), [(0.5, "building the embedded data in tiny ...\n"), (0.0, "")])
def test_a_build_that_takes_its_time_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: float, told: str
) -> None:
    monkeypatch.setattr(preparing, "TELL_AFTER", 0.1)
    monkeypatch.setattr(synthetic, "build", lambda out, **options: time.sleep(seconds))
    build_synthetic(Path("tiny"), {})
    assert capsys.readouterr().out == told


@pytest.mark.parametrize("place", ["file/tiny", "file/new/tiny"])
def test_a_place_that_cannot_be_written_is_named_with_its_key(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    options: dict[str, Any] = {"num_templated": 1}
    with pytest.raises(ValueError, match=rf"cannot be put into '{tmp_path}/{place}' .*paths.data"):
        build_synthetic(tmp_path / place, options)


def test_what_the_run_ends_with_is_missed_before_it(tmp_path: Path, built: list[Path]) -> None:
    for split in ("train", "val"):
        (tmp_path / "mine" / split).mkdir(parents=True)
        (tmp_path / "mine" / split / "manifest.json").touch()
    words = ["data=templated", f"data.root={tmp_path}/mine"]
    with pytest.raises(FileNotFoundError, match="mine of test"):
        prepare(composed(tmp_path, *words))
    prepare(composed(tmp_path, *words, "evaluation.split=val"))
    assert built
