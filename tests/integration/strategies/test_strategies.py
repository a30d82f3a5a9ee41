"""Each strategy on two processes trains as one process does, and goes on from what any other has saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.strategies import STRATEGIES, Job, run, save_model, small_model, train, write_data
from depictqa.callbacks.checkpoints import LAST
from depictqa.checkpoint import read_checkpoint
from depictqa.models.depictqa import DepictQA

pytest.importorskip("deepspeed")

NEAR = 1e-5
CUT = 5  # optimiser steps before a run is cut; there are two more
SOURCES = {"ddp": "deepspeed_3", "fsdp2": "one", "deepspeed_1": "fsdp2", "deepspeed_2": "one", "deepspeed_3": "ddp"}
"""Whose checkpoint each goes on from; one process goes on from all of theirs."""

HALF = ("deepspeed_1", "deepspeed_3")


@dataclass
class Runs:
    """What all tests look at: losses by strategy. `whole` is of one process that was not cut."""

    folder: Path
    whole: dict[str, Any]
    cut: dict[str, dict[str, Any]]
    resumed: dict[str, dict[str, Any]]  # by who went on, on two processes
    alone: dict[str, dict[str, Any]]  # by who had saved: one process went on
    half: dict[str, list[dict[str, Any]]]  # by stage, in float16: not cut, cut, and resumed from there


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = write_data(tmp_path_factory.mktemp("strategies"))
    rest: dict[str, Any] = {"folder": str(folder), "budget": 170}
    whole = train(Job("one", out=str(folder / "one"), steps=1000, **rest))
    cut = [Job(name, out=str(folder / name), steps=CUT, **rest) for name in STRATEGIES]
    train(Job("one", out=str(folder / "one_cut"), steps=CUT, **rest))
    saved = {"one": str(folder / "one_cut" / LAST), **{name: str(folder / name / LAST) for name in STRATEGIES}}
    resumed = [
        Job(name, out=str(folder / f"{name}_on"), steps=1000, resume=saved[source], **rest)
        for name, source in SOURCES.items()
    ]
    half = [
        Job(name, out=str(folder / f"{name}_half_{part}"), precision="16-mixed", **rest, **options)
        for name in HALF
        for part, options in (
            ("whole", {"steps": 1000}),
            ("cut", {"steps": CUT}),
            ("on", {"steps": 1000, "resume": str(folder / f"{name}_half_cut" / LAST)}),
        )
    ]
    results = iter(run([*cut, *resumed, *half], 2, folder))
    first = {job.strategy: next(results) for job in cut}
    after = {job.strategy: next(results) for job in resumed}
    alone = {
        name: train(Job("one", out=str(folder / f"one_from_{name}"), steps=1000, resume=saved[name], **rest))
        for name in STRATEGIES
    }
    return Runs(folder, whole, first, after, alone, {name: [next(results) for _ in range(3)] for name in HALF})


@pytest.mark.parametrize("name", STRATEGIES)
def test_losses_are_those_of_one_process(runs: Runs, name: str) -> None:
    assert (runs.whole["accumulate"], runs.cut[name]["accumulate"]) == (4, 2)
    expected = {step: loss for step, loss in runs.whole["losses"].items() if step <= CUT}
    assert runs.cut[name]["losses"] == pytest.approx(expected, abs=NEAR)
    assert runs.cut[name]["validation"][3] == pytest.approx(runs.whole["validation"][3], abs=NEAR)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_goes_on_from_the_checkpoint_of_another(runs: Runs, name: str) -> None:
    """Of as many processes or of one, and one process from its own: the same steps."""
    expected = {step: loss for step, loss in runs.whole["losses"].items() if step > CUT}
    assert len(expected) == 2
    assert runs.resumed[name]["losses"] == pytest.approx(expected, abs=NEAR)
    assert runs.alone[name]["losses"] == pytest.approx(expected, abs=NEAR)
    assert (runs.resumed[name]["accumulate"], runs.alone[name]["accumulate"]) == (2, 4)


@pytest.mark.parametrize("name", STRATEGIES)
def test_answers_during_training_are_those_of_one_process(runs: Runs, name: str) -> None:
    first = (runs.folder / name / "examples.jsonl").read_text().splitlines()[:2]
    assert first == (runs.folder / "one" / "examples.jsonl").read_text().splitlines()[:2]


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_checkpoint_holds_what_was_trained_whole(runs: Runs, name: str) -> None:
    saved = read_checkpoint(runs.folder / f"{name}_on" / LAST)
    expected = read_checkpoint(runs.folder / "one" / LAST)
    own = small_model(runs.folder).trained_state_dict()
    assert list(saved["state_dict"]) == list(own)
    assert not any(key.startswith("vision.") or "lora_" not in key for key in own if not key.startswith("projector."))
    for key, value in expected["state_dict"].items():
        torch.testing.assert_close(saved["state_dict"][key], value, atol=NEAR, rtol=0)
    (state,), (known,) = saved["optimizer_states"], expected["optimizer_states"]
    assert state["param_groups"][0]["params"] == list(range(len(own)))
    assert state["param_groups"][0]["lr"] == pytest.approx(known["param_groups"][0]["lr"])
    for number in range(len(own)):
        assert state["state"][number].keys() == known["state"][number].keys()
        for key, value in known["state"][number].items():
            torch.testing.assert_close(state["state"][number][key], value, atol=NEAR, rtol=0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategys_model_opens_without_it(runs: Runs, name: str) -> None:
    folder = save_model(Job(name, str(runs.folder), str(runs.folder / f"{name}_on")))
    expected = read_checkpoint(runs.folder / f"{name}_on" / LAST)["state_dict"]
    for key, value in DepictQA.from_pretrained(folder).trained_state_dict().items():
        assert torch.equal(value, expected[key])


@pytest.mark.parametrize("name", HALF)
def test_half_precision_goes_on_to_the_last_bit(runs: Runs, name: str) -> None:
    """Loss scale and float32 copies among what is saved; its first steps overflow, and are left out."""
    whole, cut, resumed = (part["losses"] for part in runs.half[name])
    assert whole == {**cut, **resumed} and min(resumed) == CUT + 1
    assert whole == pytest.approx(runs.half[HALF[0]][0]["losses"], abs=1e-4)
    saved = read_checkpoint(runs.folder / f"{name}_half_cut" / LAST)
    assert saved["deepspeed_loss_scaler"]["last_overflow_iter"] >= 0
    assert all(value.dtype == torch.float32 for value in saved["state_dict"].values())


@pytest.mark.slow
@pytest.mark.parametrize("source", STRATEGIES)
def test_every_strategy_opens_the_checkpoint_of_every_other(runs: Runs, tmp_path: Path, source: str) -> None:
    checkpoint = str(runs.folder / source / LAST)
    rest: dict[str, Any] = {"folder": str(runs.folder), "budget": 170, "steps": 1000, "resume": checkpoint}
    results = run([Job(name, out=str(tmp_path / name), **rest) for name in STRATEGIES], 2, tmp_path)
    expected = {step: loss for step, loss in runs.whole["losses"].items() if step > CUT}
    for result in results:
        assert result["losses"] == pytest.approx(expected, abs=NEAR)


@pytest.mark.slow
def test_models_that_are_trained_whole_agree_too(runs: Runs, tmp_path: Path) -> None:
    """Vision tower and language model in full, in one micro-batch a step."""
    rest: dict[str, Any] = {"folder": str(runs.folder), "tuning": "full"}
    alone = train(Job("one", out=str(tmp_path / "one"), **rest))
    for result in run([Job(name, out=str(tmp_path / name), **rest) for name in STRATEGIES], 2, tmp_path):
        assert result["losses"] == pytest.approx(alone["losses"], abs=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["step", "window"])
def test_compiled_and_recomputed_layers_agree_too(runs: Runs, tmp_path: Path, packing: str) -> None:
    rest: dict[str, Any] = {"folder": str(runs.folder), "budget": 300, "packing": packing}
    alone = train(Job("one", out=str(tmp_path / "one"), **rest))
    jobs = [
        Job("fsdp2", out=str(tmp_path / "fsdp2"), compiled=True, recompute=2, **rest),
        Job("deepspeed_1", out=str(tmp_path / "deepspeed_1"), compiled=True, recompute=1, **rest),
        Job("deepspeed_3", out=str(tmp_path / "deepspeed_3"), recompute=1, **rest),
    ]
    for result in run(jobs, 2, tmp_path):
        assert result["losses"] == pytest.approx(alone["losses"], abs=NEAR)
