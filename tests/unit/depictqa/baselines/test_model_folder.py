from __future__ import annotations

import json
from pathlib import Path

import pytest

from depictqa.baselines.model_folder import find_model


def test_a_whole_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors.*baseline\.mine\.path=DIR"):
        find_model(str(tmp_path), "mine")
    index = {"weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"has no model-2\.safetensors"):
        find_model(str(tmp_path), "mine")
    (tmp_path / "model-2.safetensors").touch()
    assert find_model(str(tmp_path), "mine") == tmp_path


@pytest.mark.parametrize("path", ["/nowhere/model", "./model", "~/no_such_model", "a/b/c", "model"])
def test_a_path_that_is_not_there_is_no_hub_id(path: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"no folder '{path}'; give one \(baseline\.mine\.path=DIR\)"):
        find_model(path, "mine")


def cached(cache: Path, *names: str) -> Path:
    """A hub cache that holds some files of `owner/model`."""
    folder = cache / "models--owner--model"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text("0" * 40)
    for name in names:
        (snapshot / name).write_text("{}")
    return snapshot


def test_a_hub_id_is_looked_for_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError) as found:
        find_model("owner/model", "mine")
    message = str(found.value)
    assert "owner/model" in message and str(tmp_path) in message and "baseline.mine.path=DIR" in message
    assert "\n" not in message
    snapshot = cached(tmp_path, "config.json")
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors"):
        find_model("owner/model", "mine")
    cached(tmp_path, "config.json", "model.safetensors")
    assert find_model("owner/model", "mine") == snapshot
