"""`program=plan`: of models whose files are not here, of files that are, of shards; and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import experiments.schemas  # noqa: F401
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.costs.memory import parts
from depictqa.costs.run import Workload
from depictqa.costs.trace import hollow
from depictqa.models.config import ModelConfig
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import random_image
from experiments.plan import check, of_shards, run, vocabulary, with_sizes

ROOT = Path(__file__).resolve().parents[3]
OFFICIAL = ROOT / "tests" / "golden" / "official_tiny"
SMALL = (f"model.vision.weights={OFFICIAL}/clip.pt", f"model.language.path={OFFICIAL}/llm")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["scale=paper", *overrides])


def model_config(cfg: DictConfig) -> ModelConfig:
    return ModelConfig.from_dict(OmegaConf.to_container(cfg.model, resolve=True))  # type: ignore[arg-type]


def test_tables_and_numbers_without_weights_or_data(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hours = run(composed(*SMALL, "plan.gpus=[1,4]", "plan.price={h100: 2.5}", "plan.mfu=0.3", "out=plan"))
    shown = capsys.readouterr().out
    assert "724,760 draws" in shown and "Parameters" in shown and "fsdp2" in shown and "cost" in shown
    found: dict[str, Any] = json.loads((tmp_path / "plan" / "tables" / "plan.json").read_text())
    assert (tmp_path / "plan" / "report.md").is_file() and (tmp_path / "plan" / "tables" / "memory.csv").is_file()
    h100, a100 = found["gpus"]["h100"], found["gpus"]["a100-80gb"]
    assert h100["hours"]["1"] == pytest.approx(4 * h100["hours"]["4"]) == hours["hours/h100"]
    assert h100["cost"] == pytest.approx(2.5 * h100["hours"]["1"]) and "cost" not in a100
    about = found["run"]
    assert h100["hours"]["1"] == pytest.approx(724_760 * about["draw_flops"] / (0.3 * 989.4e12) / 3600)
    assert len(found["memory"]) == 1 + 5
    for way in found["memory"]:
        named = ("weights", "gradients", "states", "exchanged", "activations", "workspace")
        assert way["total"] == pytest.approx(sum(way[name] for name in named))
    weights = {(way["strategy"], way["gpus"]): way["weights"] for way in found["memory"]}
    tower = next(part["bytes"] for part in found["parts"] if part["name"] == "vision tower")
    assert weights["fsdp2", 4] == (weights["ddp", 1] - tower) / 4 + tower


def test_the_embedded_default_is_named_and_its_small_numbers_are_not_0(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lengths = np.full(4, 30)
    work = Workload(40, lengths, lengths // 2, np.full((4, 3), 16))
    monkeypatch.setattr("experiments.plan.workload", lambda *_: (work, "Forty draws."))
    run(composed("scale=tiny", "plan.price={h100: 2.5}", "out=plan"))
    assert "This is the embedded default, scale=tiny; scale=paper plans" in capsys.readouterr().out
    text = (tmp_path / "plan" / "report.md").read_text()
    assert re.search(r"0\.0*[1-9]\d TFLOP each", text)
    (row,) = [line for line in text.splitlines() if line.startswith("| h100")]
    cells = row.strip("| ").split(" | ")
    assert all(float(cell.replace(",", "")) > 0 for cell in cells[2:])


def test_sizes_are_those_of_the_files_that_are_there() -> None:
    cfg = composed(*SMALL)
    config, notes = with_sizes(model_config(cfg), cfg.plan.vision, cfg.plan.language)
    assert notes == []
    assert parts(hollow(config, vocabulary(cfg, config))) == parts(DepictQA.build(model_config(cfg)))


def test_sizes_of_files_that_are_not_are_the_named_ones_and_it_is_said() -> None:
    cfg = composed("plan.language=llama-13b")
    config, notes = with_sizes(model_config(cfg), cfg.plan.vision, cfg.plan.language)
    assert len(notes) == 2 and "vicuna-7b-v1.5 is not here" in notes[1] and "llama-13b's sizes" in notes[1]
    total = sum(part.parameters for part in parts(hollow(config, None, 1)) if part.name == "decoder layers")
    assert total == pytest.approx((13.016e9 - 2 * 32000 * 5120) / 40, rel=1e-3)


def test_an_epoch_of_shards_is_theirs(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "shards", "train", source="made", licence="x", seed=0) as writer:
        for number in range(5):
            images = {slot: random_image((56, 56), number + 10 * i) for i, slot in enumerate((Slot.A, Slot.B))}
            asked = RecordSample(Task.COMPARISON, tuple(images), (Turn("Which is better?", "Image A"),), Truth())
            writer.write(Record(f"{number:05d}", images, (asked,)))
    cfg = composed("data=templated", f"data.root={tmp_path}/shards", "data.repeat=3", "data.crop=false", *SMALL)
    config = model_config(cfg)
    work, what = of_shards(cfg, config, DepictQA.build(config))
    assert "15 draws" in what and work.draws == 15 and len(work.tokens) == 15
    assert work.images == 2 and (work.patches[:, :2] == 25).all()  # 56 px are padded to 70
    assert (work.tokens > 50).all() and (work.supervised > 2).all()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("plan.language=llama-70b", "plan.language 'llama-70b' unknown; choose llama-7b, llama-13b"),
        ("plan.price={h1000: 2}", "plan.price 'h1000' unknown; choose rtx4090"),
        ("plan.mfu=45", "plan.mfu is 45.0; give a share"),
        ("plan.gpus=[0]", r"plan.gpus is \[0\]; give numbers of GPUs"),
        ("data.token_budget=auto", "data.token_budget is auto; a plan needs a number"),
    ],
)
def test_options_that_cannot_be(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(composed(override))


def test_the_embedded_scale_needs_its_data(tmp_path: Path) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("run", [f"paths.data={tmp_path}"])
    with pytest.raises(FileNotFoundError, match="run it once"):
        run(cfg)


def test_a_named_tower_is_planned_without_its_weights() -> None:
    cfg = composed("model.vision.name=RN50", "model.vision.weights=null")
    config, notes = with_sizes(model_config(cfg), cfg.plan.vision, cfg.plan.language)
    tower = parts(hollow(config, None, 1))[0]
    assert len(notes) == 1 and tower.name == "vision tower" and 38e6 < tower.parameters < 39e6
