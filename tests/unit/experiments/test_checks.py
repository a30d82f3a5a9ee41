"""What no training can have is refused in one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import experiments.schemas  # noqa: F401
from experiments.checks import check_groups, check_numbers, check_training
from experiments.prepare import prepare
from experiments.trainer import precision

CONF = Path(__file__).resolve().parents[3] / "conf"
WRONG = [
    "trainer.keep=foo", "trainer.gradient_clip=-1", "trainer.validations_per_epoch=-1", "trainer.checkpoint_every=0",
    "trainer.log_every=0", "trainer.progress_every=-1", "trainer.num_examples=-1", "trainer.early_stopping.patience=-2",
    "trainer.threads=-1", "trainer.max_epochs=0", "trainer.max_steps=-3", "trainer.max_steps=0", "trainer.num_nodes=0",
    "trainer.optimizer.lr=nan", "trainer.optimizer.lr=-1", "trainer.devices=0", "trainer.devices=two", "seed=-1",
    "trainer.precision=foo", "trainer.strategy=foo", "trainer.accelerator=tpu",
    "trainer.spike=0", "trainer.spike=nan", "trainer.max_bad_steps=-1", "trainer.recompute=0",
]  # fmt: skip


@pytest.mark.parametrize("word", WRONG)
def test_what_cannot_be_is_named_with_its_key(word: str) -> None:
    key, value = word.split("=")
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ValueError, match=f"^{key} .*{value}"):
        check_training(compose("run", [word]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.compile=true"], "trainer.compile needs batches of few shapes; set data.packing=window, or step"),
        (
            ["data.packing=step", "trainer.compile=true", "trainer=deepspeed", "trainer.strategy.stage=3"],
            "trainer.compile does not go with ZeRO stage 3",
        ),
        (["trainer=deepspeed", "trainer.max_bad_steps=2"], "trainer.max_bad_steps needs a strategy that leaves steps"),
    ],
)
def test_what_does_not_go_together_names_the_fix(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ValueError, match=message):
        check_training(compose("run", words))


@pytest.mark.parametrize("words", [["trainer=deepspeed"], ["trainer=gpu"], ["trainer.accelerator=mps"]])
def test_a_gpu_that_is_not_there_is_said_of_the_trainer(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cuda", "backends.mps"):
        monkeypatch.setattr(f"torch.{name}.is_available", lambda: False)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("run", words)
    with pytest.raises(ValueError, match="^trainer.accelerator=(gpu|mps), but torch sees no such GPU here; take cpu"):
        prepare(cfg)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["scale=paper", "trainer=deepspeed"],
        ["trainer.devices=[0,1]"],
        ["trainer.devices='0,1'"],
        ["trainer.devices='0,'"],
        ["trainer.strategy=ddp_find_unused_parameters_false"],
    ],
)
def test_what_can_be_passes(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_training(compose("run", words))


@pytest.mark.parametrize(
    ("alias", "name"), [("32", "32-true"), ("16", "16-mixed"), ("bf16", "bf16-mixed"), ("64", "64-true")]
)
def test_lightnings_other_names_of_a_precision_are_known(alias: str, name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("run", [f"trainer.precision={alias}"])
    check_training(cfg)
    assert precision(cfg.trainer.precision, "cpu") == name


def test_one_choice_is_no_list() -> None:
    check_groups(
        ["baseline=[psnr,ssim]", "trainer=cpu", "trainer.devices=[0,1]", "~judge", "evaluation.tasks=[rating]"]
    )
    with pytest.raises(ValueError, match=r"^trainer=\[cpu,ddp\]: trainer takes one choice and no list"):
        check_groups(["seed=1", "trainer=[cpu,ddp]"])


def test_tasks_of_an_evaluation_are_tasks() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_numbers(compose("run", ["evaluation.tasks=[content,rating]"]))
        with pytest.raises(ValueError, match="evaluation.tasks 'contents' unknown; choose description, comparison"):
            check_numbers(compose("run", ["evaluation.tasks=[contents]"]))
