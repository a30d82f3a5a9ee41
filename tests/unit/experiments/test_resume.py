from __future__ import annotations

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from experiments import resume

SAVED = {"baseline": {"psnr": {"batch_size": 16}}, "trainer": {"max_epochs": 1}, "pools": [], "resume": None}


@pytest.mark.parametrize("choice", ["baseline=[vif,fsim]", "baseline=[]", "scale=paper"])
def test_choices_of_groups_stay_the_runs_own_and_keys_change(tmp_path, monkeypatch, choice):
    OmegaConf.save(SAVED, tmp_path / "config.yaml")
    (tmp_path / resume.CHECKPOINT).parent.mkdir(exist_ok=True)
    (tmp_path / resume.CHECKPOINT).touch()
    typed = [choice, "trainer.max_epochs=3", "pools=[a.yaml]", "baseline.psnr.batch_size=2"]
    runtime = SimpleNamespace(choices={"scale": "paper"})  # Hydra lists no choice of several options
    monkeypatch.setattr(
        resume.HydraConfig, "get", lambda: SimpleNamespace(overrides=SimpleNamespace(task=typed), runtime=runtime)
    )
    cfg = resume.resumed(OmegaConf.create({"resume": str(tmp_path)}), tmp_path)
    assert cfg.baseline == {"psnr": {"batch_size": 2}}
    assert cfg.trainer.max_epochs == 3 and cfg.pools == ["a.yaml"] and cfg.resume == str(tmp_path)
