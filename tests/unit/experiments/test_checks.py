"""What no training can have is refused in one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import experiments.schemas  # noqa: F401
from experiments.checks import check_evaluation, check_groups, check_training
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
    "seed=4294967296", "trainer.float8.samples=0", "trainer.optimizer.beta1=1", "trainer.optimizer.beta2=-0.1",
    "trainer.optimizer.warmup=2", "trainer.optimizer.floor=-1", "trainer.optimizer.eps=nan",
    "data.batch_size=0", "data.token_budget=0", "data.token_budget=many", "data.num_workers=-1", "data.max_skipped=2",
    "data.pack_length=0", "data.repeats.templated=-1",
    "model.max_text_tokens=0", "model.language.lora_rank=0", "model.language.lora_dropout=2", "model.image.patch=0",
    "model.language.tuning=foo", "model.language.dtype=foo", "model.projector.kind=foo", "model.projector.num_heads=0",
    "model.vision.features=foo", "model.vision.patch_init=foo", "model.vision.dtype=foo", "model.image.crop_min=1.5",
]  # fmt: skip


@pytest.mark.parametrize("word", WRONG)
def test_what_cannot_be_is_named_with_its_key(word: str) -> None:
    key, value = word.split("=")
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ValueError, match=f"^{key} .*{value}"):
        check_training(compose("run", [word]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scale.repeats.detailed=-1"], r"^data.repeats.detailed \(scale.repeats.detailed\) is -1; give at least 0"),
        (
            [f"scale.repeats.{name}=0" for name in ("templated", "detailed", "external")],
            r"^data.repeats \(scale.repeats\) are 0 for all sources",
        ),
        (["data=detailed", "data.repeat=0"], "^data.repeat is 0; give at least 1"),
        (["trainer.compile=true"], "trainer.compile needs batches of few shapes; set data.packing=window, or step"),
        (
            ["data.packing=step", "trainer.compile=true", "trainer=deepspeed", "trainer.strategy.stage=3"],
            "trainer.compile does not go with ZeRO stage 3",
        ),
        (["trainer=deepspeed", "trainer.max_bad_steps=2"], "trainer.max_bad_steps needs a strategy that leaves steps"),
        (
            ["trainer=deepspeed", "trainer.accelerator=cpu"],
            "trainer=deepspeed needs GPUs; without them, take trainer=ddp",
        ),
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
        ["data.token_budget=auto", "data=without_detailed", "seed=4294967295"],
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
        check_evaluation(compose("run", ["evaluation.tasks=[content,rating]"]))
        with pytest.raises(ValueError, match="evaluation.tasks 'contents' unknown; choose description, comparison"):
            check_evaluation(compose("run", ["evaluation.tasks=[contents]"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluation.split=foo"], "^evaluation.split 'foo' unknown; choose train, val, test$"),
        (["evaluation.split=all"], "^evaluation.split 'all' unknown"),
        (
            ["evaluation=levels", "evaluation.split=foo"],
            "^evaluation.split 'foo' unknown; choose train, val, test, all",
        ),
        (
            ["evaluation.sentence_model=/nonexistent"],
            r"'/nonexistent' \(evaluation.sentence_model\) has no config.json",
        ),
    ],
)
def test_what_an_evaluation_cannot_have_is_said_before_it(words: list[str], message: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises((ValueError, OSError), match=message):
        check_evaluation(compose("run", words))


@pytest.mark.parametrize("words", [["evaluation.split=val"], ["evaluation=votes", "evaluation.split=all"]])
def test_an_evaluation_is_of_any_split(words: list[str]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_evaluation(compose("run", words))
