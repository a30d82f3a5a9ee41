"""What a resumed run takes from the command line, and what stays its own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from experiments import resume

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
        runtime = SimpleNamespace(choices={"scale": "paper"})  # Hydra lists no choice of several options
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


def test_an_evaluation_goes_on_with_further_baselines_and_nothing_else_changed(resumed):
    cfg = resumed("baseline=[vif]", program=resume.resumed_evaluation, baseline={"vif": {"batch_size": 1}})
    assert cfg.baseline == {"vif": {"batch_size": 1}}
    with pytest.raises(ValueError, match="has another checkpoint"):
        resumed("checkpoint=other", program=resume.resumed_evaluation, checkpoint="other")
    with pytest.raises(ValueError, match="has other options evaluation"):
        resumed("evaluation.limit=3", program=resume.resumed_evaluation)


def test_a_training_is_no_evaluation_to_go_on_with(resumed, tmp_path):
    OmegaConf.save({**SAVED, "program": {"name": "train"}}, tmp_path / "config.yaml")
    with pytest.raises(ValueError, match="is of program=train; resume it so"):
        resumed(program=resume.resumed_evaluation)
