"""The formula of FLOPs against a count of what is dispatched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from depictqa.batch import collate
from depictqa.costs.flops import FlopCounter
from depictqa.costs.run import Workload, hours, samples_per_second
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA
from depictqa.models.vision import VisionTower
from depictqa.sample import Slot
from depictqa.testing import make_sample, tiny_config, tiny_model


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_the_formula_is_what_a_step_multiplies(tokenizer_folder: Path, tuning: str) -> None:
    """A dense attention computes the half that is masked too; a frozen tower needs no gradient from the projector."""
    config = tiny_config(tokenizer_folder)
    trainable = tuning == "full"
    config = replace(
        config,
        language=replace(config.language, tuning=tuning),
        vision=replace(config.vision, trainable=trainable),
    )
    model = DepictQA.build(config).train()
    counter = FlopCounter.of(model)
    encoded = model.encoder.encode(make_sample(sizes={Slot.A: (64, 64), Slot.B: (64, 40)}))
    torch.backends.mha.set_fastpath_enabled(False)  # one kernel, which is not counted
    try:
        with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
            batch_loss(model(collate([encoded]))).backward()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    tokens, patches = len(encoded), encoded.image_lengths
    expected = counter.sample(tokens, encoded.num_supervised, patches)
    expected += 6 * counter.layers * counter.width * tokens**2
    embedding = 2 * 3 * 14**2 * counter.tower_width * sum(patches)  # of patches, which the formula leaves out
    expected += embedding * 2 if trainable else embedding - 2 * counter.projector * sum(patches)
    assert counted.get_total_flops() == pytest.approx(expected, rel=0.005)


def test_a_tower_of_another_kind_is_refused(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder)
    model.vision = VisionTower(ModifiedResNet([1, 1, 1, 1], 16, 2, width=8))
    with pytest.raises(ValueError, match="not of a resnet tower"):
        FlopCounter.of(model)


def test_hours_follow_from_rate_and_share() -> None:
    assert samples_per_second(20e12, peak=1000, mfu=0.4) == 20
    assert hours(720_000, 20e12, peak=1000, mfu=0.4, gpus=1) == 10
    assert hours(720_000, 20e12, peak=1000, mfu=0.4, gpus=8) == 1.25


def test_a_workloads_flops_are_its_draws_mean() -> None:
    counter = FlopCounter(10, 2, 1, 4, 8, False, 3, 1, 2, False, 5)
    work = Workload(100, *(torch.tensor(x).numpy() for x in ([7, 9], [1, 2], [[4, 0, 0], [4, 4, 0]])))
    assert work.images == 1.5
    assert work.flops(counter) == (counter.sample(7, 1, [4]) + counter.sample(9, 2, [4, 4])) / 2
