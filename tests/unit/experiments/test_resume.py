"""What a resumed run takes from the command line, and what stays its own."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import experiments.schemas  # noqa: F401
from depictqa.callbacks import VALIDATION_DUE
from experiments import resume
from experiments.loggers import CsvLogger

CONF = Path(__file__).resolve().parents[3] / "conf"
SAVED = {
    "program": {"name": "evaluate"},
    "evaluation": {"limit": None},
    "checkpoint": "runs/a/model",
    "baseline": {"psnr": {"batch_size": 16}},
    "trainer": {"max_epochs": 1, "checkpoint_every": 100},
    "scale": {"name": "tiny"},
    "seed": 131,
    "pools": [],
    "resume": None,
}


@pytest.fixture
def resumed(tmp_path, monkeypatch):
    """The configuration of a command with these words, of which `typed` are what they compose to."""
    OmegaConf.save(SAVED, tmp_path / "config.yaml")
    (tmp_path / resume.CHECKPOINT).parent.mkdir()
    (tmp_path / resume.CHECKPOINT).touch()

    def of(*words, program=resume.resumed_training, **typed):
        runtime = SimpleNamespace(
            choices={"scale": "paper", "trainer": "ddp"}
        )  # Hydra lists no choice of several options
        hydra = SimpleNamespace(overrides=SimpleNamespace(task=list(words)), runtime=runtime)
        monkeypatch.setattr(resume.HydraConfig, "get", lambda: hydra)
        return program(OmegaConf.create({**SAVED, "resume": str(tmp_path), **typed}), tmp_path)

    return of


@pytest.mark.parametrize("choice", ["baseline=[vif,fsim]", "baseline=[]", "scale=tiny"])
def test_choices_of_groups_stay_the_runs_own_and_keys_change(resumed, choice):
    cfg = resumed(choice, "trainer.checkpoint_every=3", "pools=[a.yaml]", "baseline.psnr.batch_size=2")
    assert cfg.baseline == {"psnr": {"batch_size": 2}}
    assert cfg.trainer.checkpoint_every == 3 and cfg.pools == ["a.yaml"]
    assert cfg.resume is not None


def test_a_run_goes_on_with_the_devices_of_another_choice(resumed):
    devices = {"accelerator": "auto", "devices": 2, "num_nodes": 1, "strategy": "ddp"}
    typed = {"trainer": {**SAVED["trainer"], "max_epochs": 1, "checkpoint_every": 7, **devices}}
    cfg = resumed("trainer=ddp", "trainer.devices=4", **typed)
    assert cfg.trainer == {"max_epochs": 1, "checkpoint_every": 100, **devices, "devices": 4}


NEWER = (
    "objective", "trainer.spike", "trainer.float8.samples", "evaluation.tasks", "model.projector.num_heads", "plan"
)  # fmt: skip


@pytest.mark.parametrize("choice", ["data=full_mix", "data=templated"])
@pytest.mark.parametrize("program", ["train", "evaluate"])
def test_options_that_are_newer_than_the_run_have_their_defaults(tmp_path, monkeypatch, program, choice):
    words = ["scale=paper", f"program={program}", choice, "baseline=[]", "trainer.checkpoint_every=7"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        saved = compose("run", words)
        cfg = compose("run", [f"program={program}", f"resume={tmp_path}", "trainer.log_every=3"])
    whole = OmegaConf.to_container(saved, resolve=True)
    older = OmegaConf.create(whole)
    for key in NEWER:
        group, _, name = key.rpartition(".")
        del (OmegaConf.select(older, group) if group else older)[name]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / resume.CHECKPOINT).touch()
    OmegaConf.save(older, tmp_path / "config.yaml")
    runtime = SimpleNamespace(
        overrides=SimpleNamespace(task=["trainer.log_every=3"]), runtime=SimpleNamespace(choices={})
    )
    monkeypatch.setattr(resume.HydraConfig, "get", lambda: runtime)
    found = getattr(resume, "resumed_training" if program == "train" else "resumed_evaluation")(cfg, tmp_path)
    whole["trainer"]["log_every"] = 3
    assert OmegaConf.to_container(found, resolve=True) == {**whole, "resume": str(tmp_path)}


@pytest.mark.parametrize(
    ("word", "typed"),
    [
        ("seed=7", {"seed": 7}),
        ("scale=paper", {"scale": {"name": "paper"}}),
        ("trainer.max_epochs=3", {"trainer": {"max_epochs": 3}}),
    ],
)
def test_what_others_were_derived_from_cannot_change(resumed, word, typed):
    with pytest.raises(ValueError, match=f"has another {word.split('=')[0]}; leave"):
        resumed(word, **typed)
    resumed(f"seed={SAVED['seed']}")  # said again, and the same


def test_of_a_key_that_is_typed_twice_the_last_word_counts(resumed):
    trainer = {**SAVED["trainer"], "max_epochs": 1}
    assert resumed("trainer.max_epochs=2", "trainer.max_epochs=1", trainer=trainer).trainer.max_epochs == 1


def test_a_run_is_the_same_but_for_being_resumed(tmp_path):
    OmegaConf.save({**SAVED, "resume": "a"}, tmp_path / "config.yaml")
    assert resume.is_same_run(OmegaConf.create({**SAVED, "resume": "b"}), tmp_path)
    assert not resume.is_same_run(OmegaConf.create({**SAVED, "evaluation": {"limit": 2}}), tmp_path)


def test_an_evaluation_goes_on_with_further_baselines_and_nothing_else_changed(resumed):
    cfg = resumed("baseline=[vif]", program=resume.resumed_evaluation, baseline={"vif": {"batch_size": 1}})
    assert cfg.baseline == {"vif": {"batch_size": 1}}
    with pytest.raises(ValueError, match="has another checkpoint"):
        resumed("checkpoint=other", program=resume.resumed_evaluation, checkpoint="other")
    with pytest.raises(ValueError, match="has other options evaluation"):
        resumed("evaluation.limit=3", program=resume.resumed_evaluation)


@pytest.mark.parametrize("program", [resume.resumed_training, resume.resumed_evaluation])
def test_a_folder_that_is_not_there_is_named(tmp_path, program):
    with pytest.raises(FileNotFoundError, match="away: there is no such folder"):
        program(OmegaConf.create(SAVED), tmp_path / "away")


def test_a_training_is_no_evaluation_to_go_on_with(resumed, tmp_path):
    OmegaConf.save({**SAVED, "program": {"name": "train"}}, tmp_path / "config.yaml")
    with pytest.raises(ValueError, match="is of program=train; resume it so"):
        resumed(program=resume.resumed_evaluation)


PREVIOUS = resume.CHECKPOINTS[-1]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with its two newest checkpoints, of steps 4 and 6, and what was logged until step 7."""
    (tmp_path / "checkpoints").mkdir()
    for name, step in ((PREVIOUS, 4), (resume.CHECKPOINT, 6)):
        torch.save({**dict.fromkeys(resume.NEEDED, 0), "global_step": step, "w": torch.zeros(999)}, tmp_path / name)
    log = CsvLogger(tmp_path / "metrics.csv")
    for step in range(7):
        log.log_metrics({"train/loss": 1.0}, step)
    lines = [json.dumps({"step": step}) + "\n" for step in (4, 5, 6, 7)]
    (tmp_path / resume.BAD_BATCHES).write_text("".join(lines))
    return tmp_path


def left(run: Path) -> tuple[int, list[int]]:
    """Rows of metrics.csv, steps of bad_batches.jsonl."""
    lines = (run / resume.BAD_BATCHES).read_text().splitlines()
    return len((run / "metrics.csv").read_text().splitlines()) - 1, [json.loads(line)["step"] for line in lines]


def test_training_goes_on_from_the_newest_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume.rewind(run) == run / resume.CHECKPOINT
    assert left(run) == (6, [4, 5, 6]) and capsys.readouterr().err == ""


@pytest.mark.parametrize(("due", "kept"), [(True, [4]), (False, [4, 6])])
def test_a_validation_that_is_made_again_is_told_once(run: Path, due: bool, kept: list[int]) -> None:
    content = torch.load(run / resume.CHECKPOINT, weights_only=True)
    torch.save({**content, VALIDATION_DUE: due}, run / resume.CHECKPOINT)
    log = CsvLogger(run / "metrics.csv")
    for step in (4, 6, 7):
        log.log_metrics({"val/loss": 1.0}, step - 1)
    examples = [json.dumps({"step": step}) + "\n" for step in (4, 6, 7)]
    (run / resume.EXAMPLES).write_text("".join(examples) + '{"step": ')
    resume.rewind(run)
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) + 1 for row in rows if row["val/loss"]] == kept
    assert [int(row["step"]) for row in rows if row["train/loss"]] == list(range(6))
    assert [json.loads(line)["step"] for line in (run / resume.EXAMPLES).read_text().splitlines()] == kept


@pytest.mark.parametrize("how", ["cut short", "empty", "not a zip", "no optimizer"])
def test_where_the_newest_is_broken_training_goes_on_from_the_one_before(
    run: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    newest = run / resume.CHECKPOINT
    data = newest.read_bytes()
    newest.write_bytes({"cut short": data[:-200], "empty": b"", "not a zip": b"x" * len(data)}.get(how, data))
    if how == "no optimizer":
        torch.save({**dict.fromkeys(resume.NEEDED - {"optimizer_states"}, 0), "global_step": 6}, newest)
    broken = newest.read_bytes()
    assert resume.rewind(run) == run / PREVIOUS
    assert left(run) == (4, [4])
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{newest} is no ") and said.endswith(f"going on from {run / PREVIOUS}, step 4")
    assert not newest.exists() and (run / resume.BROKEN).read_bytes() == broken
    assert resume.rewind(run) == run / PREVIOUS, "the same once more"


def test_both_broken_is_one_line(run: Path) -> None:
    for name in (resume.CHECKPOINT, PREVIOUS):
        os.truncate(run / name, 99)
    with pytest.raises(ValueError) as caught:
        resume.rewind(run)
    broken = [f"{run / name} is no readable checkpoint: it is cut short or broken" for name in resume.CHECKPOINTS[::2]]
    fix = f"there is no other, so delete {run}/checkpoints and start the run again"
    assert str(caught.value) == f"cannot resume {run}: {'; '.join(broken)}; {fix}"
    assert (run / resume.CHECKPOINT).exists()


def test_a_run_cut_between_two_renames_is_resumed(resumed, tmp_path):
    (tmp_path / resume.CHECKPOINT).rename(tmp_path / PREVIOUS)
    assert resumed().seed == SAVED["seed"]
    (tmp_path / PREVIOUS).unlink()
    with pytest.raises(FileNotFoundError, match="it has no checkpoints/last.ckpt"):
        resumed()


def test_a_run_cut_between_renames_goes_on_from_the_newer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / resume.CHECKPOINT).rename(run / "checkpoints/next.ckpt")
    assert resume.rewind(run) == run / "checkpoints/next.ckpt"
    assert left(run) == (6, [4, 5, 6]) and capsys.readouterr().err == ""


def test_a_token_budget_that_was_found_stays(resumed, tmp_path):
    OmegaConf.save({**SAVED, "data": {"token_budget": 4096}}, tmp_path / "config.yaml")
    assert resumed("data.token_budget=auto", data={"token_budget": "auto"}).data.token_budget == 4096
    assert resumed("data.token_budget=2048", data={"token_budget": 2048}).data.token_budget == 2048
