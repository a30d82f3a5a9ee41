"""Every configuration file composes, and a misspelt key does not."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

import experiments.schemas  # noqa: F401
from depictqa import official
from depictqa.models.config import ModelConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
FILES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.rglob("*.yaml"))
OPTIONS = [name for name in FILES if "/" in name]


def composed(*overrides: str, folder: Path = CONF) -> DictConfig:
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("run", list(overrides), return_hydra_config=True)


def resolved(cfg: DictConfig) -> dict:
    """Without Hydra's own part, part of which only a running job can resolve."""
    return OmegaConf.to_container(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), resolve=True)


def test_every_file_is_looked_at() -> None:
    assert "run" in FILES
    assert len(OPTIONS) == len(FILES) - 1 >= 25
    groups = {name.split("/")[0] for name in OPTIONS}
    assert groups >= {
        "program", "experiment", "ablation", "scale", "model", "data", "trainer", "evaluation", "logger", "paths",
        "writer", "baseline", "judge",
    }  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_every_option_composes(option: str, scale: str) -> None:
    group, name = option.rsplit("/", 1)
    resolved(composed(f"scale={scale}", f"{group}={name}"))


@pytest.mark.parametrize("name", [o.split("/")[1] for o in OPTIONS if o.startswith("experiment/")])
def test_experiments_are_short_and_named(name: str) -> None:
    assert len((CONF / "experiment" / f"{name}.yaml").read_text().splitlines()) <= 40
    assert composed(f"experiment={name}").name == name


@pytest.mark.parametrize("scale", ["tiny", "paper"])
@pytest.mark.parametrize("name", [o.split("/")[1] for o in OPTIONS if o.startswith("ablation/")])
def test_every_point_of_an_ablation_composes(name: str, scale: str) -> None:
    cfg = composed(f"ablation={name}", f"scale={scale}")
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert cfg.logger.group == name
    assert cfg.hydra.sweeper.params
    for key, values in cfg.hydra.sweeper.params.items():
        points = str(values).split(",")
        found = [resolved(composed(f"ablation={name}", f"scale={scale}", f"{key}={value}")) for value in points]
        assert len(points) > 1 and all(one != other for one, other in combinations(found, 2))


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("trainer", {"trainer": {"max_epoch": 3}}),
        ("optimizer", {"trainer": {"optimizer": {"lrr": 3}}}),
        ("model", {"model": {"language": {"lora_ranks": 3}}}),
        ("data", {"data": {"batch_sizes": 3}}),
        ("source", {"data": {"sources": {"detailed": {"roots": "x"}}}}),
        ("top", {"seeed": 3}),
        ("evaluation", {"evaluation": {"spilt": "val"}}),
        ("logger", {"logger": {"wanb": True}}),
        ("writer", {"writer": {"modell": "x"}}),
        ("judge", {"judge": {"promt": "x"}}),
        ("baseline", {"baseline": {"psnr": {"batch_sizes": 3}}}),
    ],
)
def test_a_misspelt_key_in_an_experiment_fails_with_its_name(tmp_path: Path, place: str, wrong: dict) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    text = "# @package _global_\ndefaults:\n  - override /data: full_mix\n" + OmegaConf.to_yaml(wrong)
    (tmp_path / "conf" / "experiment" / "misspelt.yaml").write_text(text)
    leaf = wrong
    while isinstance(leaf, dict):
        key, leaf = next(iter(leaf.items()))
    with pytest.raises(ConfigCompositionException, match=f"experiment/misspelt.*\n?.*'{key}'"):
        composed("experiment=misspelt", folder=tmp_path / "conf")


def test_a_value_of_the_wrong_kind_fails() -> None:
    with pytest.raises(ConfigCompositionException, match="trainer.max_epochs"):
        composed("trainer.max_epochs=many")


def test_full_mix_has_all_sources_at_the_papers_repeats() -> None:
    data = resolved(composed("experiment=full_mix", "scale=paper"))["data"]
    assert sorted(data["sources"]) == ["detailed", "external", "templated"]
    assert data["repeats"] == {"templated": 1, "detailed": 20, "external": 2}


def test_baselines_are_chosen_by_name() -> None:
    assert list(composed().baseline) == ["psnr", "ssim"]
    assert list(composed("baseline=[vif,niqe]").baseline) == ["vif", "niqe"]
    assert resolved(composed("baseline=lpips", "trainer=cpu"))["baseline"]["lpips"]["accelerator"] == "cpu"
    assert not composed("baseline=[]").baseline
    api = composed("baseline=[api]", "baseline.api.options={max_tokens: 9}").baseline.api
    assert api.options == {"max_tokens": 9}


def test_a_strategys_arguments_are_keys() -> None:
    assert composed("trainer=ddp").trainer.strategy == "ddp"
    strategy = composed("scale=paper", "trainer=deepspeed", "trainer.strategy.stage=2").trainer.strategy
    assert strategy == {"_target_": "depictqa.strategies.deepspeed.DeepSpeed", "stage": 2}
    assert composed("trainer=deepspeed").trainer.strategy.stage == 1
    with pytest.raises(ConfigCompositionException, match="trainer.strategy.sage"):
        composed("trainer=deepspeed", "trainer.strategy.sage=2")


def test_model_sizes_are_configs_of_one_class() -> None:
    tiny, paper = (ModelConfig.from_dict(resolved(composed(f"scale={s}"))["model"]) for s in ("tiny", "paper"))
    assert tiny.language.tuning == "full"
    assert (paper.language.tuning, paper.language.lora_rank) == ("lora", 16)
    assert paper.prompt == official.style()


def test_a_job_of_slurm_has_a_task_for_each_device() -> None:
    words = ["hydra.launcher.tasks_per_node=8", "hydra.launcher.gpus_per_node=8", "hydra.launcher.partition=gpu"]
    cfg = composed("ablation=data_mix", "scale=paper", "trainer=ddp", "hydra/launcher=submitit_slurm", *words)
    assert cfg.hydra.launcher._target_.endswith("SlurmLauncher")
    assert (cfg.hydra.launcher.tasks_per_node, cfg.hydra.launcher.partition) == (8, "gpu")
    assert cfg.hydra.launcher.submitit_folder.startswith("runs/data_mix/")


def test_language_models_are_compared_at_the_size_of_the_scale() -> None:
    small = composed("ablation=language_model", "model/language=qwen3_small").model.language
    assert (small.architecture.model_type, small.path, small.tuning) == ("qwen3", None, "full")
    large = composed("ablation=language_model", "scale=paper", "model/language=llama2_chat").model.language
    assert (large.architecture, large.path, large.lora_rank) == (None, "weights/llama-2-7b-chat-hf", 16)


def test_the_papers_steps_are_packed_and_full_packs_are_one_key_away() -> None:
    data = composed("scale=paper").data
    assert (data.packing, data.token_budget, composed().data.packing) == ("step", 8192, "none")
    assert composed("scale=paper", "data.packing=window", "trainer.compile=true").data.packing == "window"


def test_an_experiment_wins_over_the_scale_and_the_command_line_over_both() -> None:
    assert composed("experiment=templated_only").data._target_.endswith("TemplatedDataModule")
    assert "sources" in composed("experiment=templated_only", "data=full_mix").data
    assert composed("scale=paper", "model=tiny").model.language.tuning == "full"


def test_a_run_gets_a_folder_and_a_resumed_one_no_second() -> None:
    assert composed("experiment=full_mix").hydra.run.dir.startswith("runs/full_mix/")
    assert composed("experiment=full_mix", "resume=some/run").hydra.run.dir == "."


@pytest.mark.parametrize("name", [o.split("/")[2] for o in OPTIONS if o.startswith("model/language/") and "small" in o])
def test_small_language_models_train_alike_packed_and_padded(tokenizer_folder: Path, name: str) -> None:
    from depictqa.batch import collate, pack
    from depictqa.loss import batch_loss
    from depictqa.models.depictqa import DepictQA
    from depictqa.testing import mixed_samples

    tokenizer = f"model.language.tokenizer={tokenizer_folder}"
    model = DepictQA.build(ModelConfig.from_dict(resolved(composed(f"model/language={name}", tokenizer))["model"]))
    encoded = [model.encoder.encode(sample) for sample in mixed_samples()]
    padded, packed = (batch_loss(model(batch)) for batch in (collate(encoded), pack(encoded)))
    assert abs(padded.item() - packed.item()) < 1e-4
    padded.backward()
    assert all(parameter.grad is not None for parameter in model.trained_state_dict().values())
