from dataclasses import replace

import pytest
import torch
from lightning import LightningDataModule, LightningModule, Trainer

from datamodules.detailed import DetailedDataModule
from datamodules.external import ExternalDataModule
from datamodules.mixture import MixtureDataModule
from datamodules.templated import TemplatedDataModule
from depictqa.sample import Task

MODULES = {"templated": TemplatedDataModule, "detailed": DetailedDataModule, "external": ExternalDataModule}


@pytest.mark.parametrize(("name", "repeat", "count"), [("templated", 1, 9), ("detailed", 20, 3), ("external", 2, 4)])
def test_each_source_works_alone_with_its_own_repeat(sources, encoder, name, repeat, count):
    data = MODULES[name](sources / name, encoder, batch_size=4)
    assert isinstance(data, LightningDataModule)
    data.setup("fit")
    keys = [key for batch in data.train_dataloader() for key in batch.keys]
    assert len(keys) == repeat * count and len(set(keys)) == count
    assert {key.split("/")[0] for key in keys} == {name}
    assert len(data.samples("test")) == sum(batch.num_samples for batch in data.val_dataloader()) == count
    assert data.samples("test")[count - 1].images


def test_wrong_task_names_record_and_task(sources, encoder):
    data = DetailedDataModule(sources / "templated", encoder)
    with pytest.raises(ValueError, match=r"record 'detailed/0000/0': task 'comparison' is none of .*\(assessment, "):
        data.setup("fit")


def test_a_source_whose_answers_are_all_cut_off_is_refused(sources, encoder):
    parts = {name: module(sources / name) for name, module in MODULES.items()}
    short = replace(encoder, max_text_tokens=3)
    message = "model.max_text_tokens is 3, which leaves nothing of any answer of source 'templated'; raise it"
    with pytest.raises(ValueError, match=message):
        MixtureDataModule(parts, encoder=short, batch_size=4).setup("fit")
    with pytest.raises(ValueError, match=message.replace("templated", "detailed")):
        MixtureDataModule(parts, {"templated": 0}, short, batch_size=4).setup("fit")


def test_mixture_takes_repeats_and_names_from_its_keys(sources, encoder):
    parts = {f"my_{name}": module(sources / name) for name, module in MODULES.items()}
    data = MixtureDataModule(parts, {"my_detailed": 0, "my_external": 3}, encoder, batch_size=64)
    data.setup("fit")
    keys = [key for batch in data.train_dataloader() for key in batch.keys]
    counts = {name: sum(key.startswith(name) for key in keys) for name in parts}
    assert counts == {"my_templated": 9, "my_detailed": 0, "my_external": 12}
    assert len(data.samples("val")) == 16
    assert [sample.task for sample in data.samples("val")[8:10]] == [Task.COMPARISON, Task.DESCRIPTION]
    with pytest.raises(ValueError, match="repeats name source 'other'; choose among my_templated, my_detailed"):
        MixtureDataModule(parts, {"other": 1}, encoder)


def test_what_is_missing_is_named(sources, encoder):
    with pytest.raises(ValueError, match="no encoder .* give it encoder=model.encoder"):
        TemplatedDataModule(sources / "templated").setup("fit")
    with pytest.raises(FileNotFoundError, match="nowhere/train' has no manifest.json; build it with program=build"):
        TemplatedDataModule(sources / "nowhere", encoder).setup("fit")
    with pytest.raises(ValueError, match="10 ranks but only 3 records a step"):
        DetailedDataModule(sources / "detailed", encoder, repeat=1).setup("fit", world_size=10, rank=0)


def test_setup_again_reads_nothing_twice(sources, encoder, monkeypatch):
    data = TemplatedDataModule(sources / "templated", encoder, batch_size=4)
    data.setup("fit", world_size=1, rank=0)
    monkeypatch.setattr(type(encoder), "length", None)
    data.setup("fit", world_size=2, rank=1)
    assert data.feed.plan.world_size == 2 and data.train_dataloader().batches.rank == 1


class Recorder(LightningModule):
    """Notes which batches a trainer was given; `kill_after` that many it saves and fails."""

    def __init__(self, kill_after=None, checkpoint=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.kill_after, self.checkpoint = kill_after, checkpoint
        self.seen = []

    def training_step(self, batch, index):
        pixels = sum(int(group.sum()) for group in batch.pixels)
        self.seen.append((self.current_epoch, index, int(batch.ids.sum()), pixels, *batch.keys))
        return self.weight.sum() * batch.weights.sum()

    def on_train_batch_end(self, outputs, batch, index):
        if len(self.seen) == self.kill_after:
            self.trainer.save_checkpoint(self.checkpoint)
            raise RuntimeError("killed")

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore")
def test_lightning_resumes_with_the_next_batch(sources, encoder):
    """Ended in the middle of an epoch, at its end, and in the next one, after a step; resumed with other workers."""
    checkpoint = sources / "last.ckpt"

    def fit(workers, kill_after=None, resume=False):
        data = TemplatedDataModule(sources / "templated", encoder, batch_size=4, token_budget=300, num_workers=workers)
        data.setup("fit", world_size=1, rank=0)
        quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        trainer = Trainer(
            max_epochs=2,
            accumulate_grad_batches=data.accumulate,
            accelerator="cpu",
            default_root_dir=sources,
            **dict.fromkeys(quiet, False),
        )
        module = Recorder(kill_after, checkpoint)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint if resume else None, weights_only=True)
        except RuntimeError:
            assert kill_after is not None and kill_after % data.accumulate == 0
        return module.seen

    unbroken = fit(0)
    per_epoch = len(unbroken) // 2
    assert per_epoch > 3 and unbroken[0] != unbroken[per_epoch]
    for kill_after, workers in ((2, 2), (per_epoch, 0), (per_epoch + 2, 2)):
        before = fit(workers, kill_after)
        assert before == unbroken[:kill_after]
        assert before + fit(2 - workers, resume=True) == unbroken
