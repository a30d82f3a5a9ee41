"""What a resumed run takes from the command line, and what stays its own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from experiments import resume

SAVED = {
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

    def of(*words, **typed):
        runtime = SimpleNamespace(choices={"scale": "paper"})  # Hydra lists no choice of several options
        hydra = SimpleNamespace(overrides=SimpleNamespace(task=list(words)), runtime=runtime)
        monkeypatch.setattr(resume.HydraConfig, "get", lambda: hydra)
        return resume.resumed(OmegaConf.create({**SAVED, "resume": str(tmp_path), **typed}), tmp_path)

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
