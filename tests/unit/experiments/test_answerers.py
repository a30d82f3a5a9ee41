from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import experiments.schemas  # noqa: F401
from experiments.answerers import open_baselines, open_others
from experiments.checks import check_evaluation

CONF = Path(__file__).parents[3] / "conf"


def opened(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return open_baselines(compose("run", list(overrides)))


def test_baselines_are_opened_in_order_with_their_options():
    fsim, psnr = opened("baseline=[fsim,psnr]", "baseline.fsim.batch_size=3", "trainer=cpu")
    assert (fsim.name, fsim.batch_size, fsim.accelerator) == ("fsim", 3, "cpu")
    assert psnr.name == "psnr"
    assert opened("baseline=[]") == []


def test_answers_are_opened_by_path(tmp_path):
    (tmp_path / "lamm.jsonl").write_text('{"key": "a", "prediction": "A"}')
    (answers,) = opened("baseline=lamm_vicuna", f"baseline.lamm_vicuna.path={tmp_path}/lamm.jsonl")
    assert answers.name == "lamm_vicuna"
    (answers,) = opened("baseline=answers", f"path={tmp_path}/lamm.jsonl")
    assert answers.name == "lamm"


def test_a_folder_that_holds_no_vision_language_model_is_said_before_anything_runs(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ValueError, match="baseline 'transformers'.*opens as no processor"):
        opened("baseline=transformers", f"path={tmp_path}")


def test_a_model_that_is_not_there_is_named_with_its_key(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"llava-hf/llava-1\.5-7b-hf.*baseline\.llava_1_5\.path=DIR"):
        opened("baseline=llava_1_5")
    with pytest.raises(ValueError, match=r"baseline\.transformers\.path"):
        opened("baseline=transformers")


def test_all_that_is_missing_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="alexnet.*vgg16.*PieAPP"):
        opened("baseline=[psnr,lpips,dists,pieapp]")


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", list(overrides))


@pytest.mark.parametrize(
    "word",
    ["evaluation.batch_size=0", "evaluation.max_new_tokens=-4", "evaluation.limit=0", "baseline.psnr.batch_size=-1"],
)
def test_numbers_that_cannot_be_are_said_with_their_keys(word):
    with pytest.raises(ValueError, match=f"{word.split('=')[0]} is {word.split('=')[1]}; give at least 1"):
        check_evaluation(composed(word))
    check_evaluation(composed("evaluation.limit=1"))


def test_a_gpu_that_is_not_there_and_a_word_that_is_none(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=r"baseline\.psnr\.accelerator=gpu, but torch sees no such GPU here"):
        opened("baseline=psnr", "baseline.psnr.accelerator=gpu")
    with pytest.raises(ValueError, match="baseline.psnr.accelerator 'tpu' unknown; choose auto, cpu, gpu, cuda, mps"):
        opened("baseline=psnr", "baseline.psnr.accelerator=tpu")


def test_baselines_go_with_a_trainer_on_mps(monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [one.device.type for one in opened("trainer.accelerator=mps")] == ["cpu"] * 2


def test_a_model_under_test_names_its_own_keys():
    for name in ("transformers", "answers"):
        with pytest.raises(ValueError, match=rf"model_under_test\.{name}\.path"):
            open_others(composed(f"model_under_test={name}", "baseline=[]"))


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two answerers are called 'psnr'"):
        open_others(composed("baseline=[psnr,ssim]", "baseline.ssim._target_=depictqa.baselines.pixel.psnr"))


def test_somebody_must_be_asked():
    with pytest.raises(ValueError, match="^there is nobody to ask; choose model_under_test=depictqa, or baseline=psnr"):
        open_others(composed("model_under_test=none", "baseline=[]"))
    assert open_others(composed("baseline=[]")) == []  # but the model of checkpoint=
