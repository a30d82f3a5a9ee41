from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import experiments.schemas  # noqa: F401
from experiments.prepare import open_baselines

CONF = Path(__file__).parents[3] / "conf"


def opened(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return open_baselines(compose("run", list(overrides)))


def test_baselines_are_opened_in_order_with_their_options():
    fsim, psnr = opened("baseline=[fsim,psnr]", "baseline.fsim.batch_size=3", "trainer=cpu")
    assert (fsim.name, fsim.batch_size, fsim.accelerator) == ("fsim", 3, "cpu")
    assert psnr.name == "psnr"
    assert opened("baseline=[]") == []


def test_all_that_is_missing_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="alexnet.*vgg16.*PieAPP"):
        opened("baseline=[psnr,lpips,dists,pieapp]")
