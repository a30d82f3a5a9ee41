"""What is traced without values is what a real step keeps, and few layers tell of many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from depictqa.batch import Batch, pack
from depictqa.costs.architectures import LANGUAGE, VISION
from depictqa.costs.trace import Allocated, StepCost, StepShape, _tensors, hollow, step_cost, traced_step
from depictqa.loss import batch_loss
from depictqa.models.config import LanguageConfig, ModelConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Slot
from depictqa.testing import make_sample, tiny_config, tiny_tokenizer


def config(tokenizer: Path, layers: int = 3, width: int = 64) -> ModelConfig:
    """With LoRA, and little beside the layers."""
    whole = tiny_config(tokenizer)
    language = replace(
        whole.language,
        tuning="lora",
        lora_rank=4,
        architecture={
            "model_type": "llama", "vocab_size": 320, "hidden_size": width, "intermediate_size": 3 * width,
            "num_hidden_layers": layers, "num_attention_heads": 4, "max_position_embeddings": 1024,
        },
    )  # fmt: skip
    return replace(whole, language=language, vision=replace(whole.vision, trainable=False))


def real(config: ModelConfig, num: int) -> tuple[DepictQA, Batch]:
    model = DepictQA.build(config).train()
    sizes = dict.fromkeys((Slot.A, Slot.B), (42, 42))
    return model, pack([model.encoder.encode(make_sample(sizes=sizes, key=str(n), seed=n)) for n in range(num)])


def shape_of(batch: Batch) -> StepShape:
    return StepShape(batch.num_tokens, len(batch.supervised), len(batch.image_positions), batch.longest, 3)


def saved_bytes(model: DepictQA, batch: Batch) -> int:
    """Of the storages that autograd saves in a real step, other than parameters' and the batch's own."""
    storages = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()  # held, so that none is used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        loss = batch_loss(model(batch))
    known = [*model.parameters(), *model.buffers(), batch.ids, batch.labels, batch.positions, batch.segments]
    for tensor in [*known, batch.weights, batch.supervised, batch.image_positions, batch.image_rows]:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    del loss
    return sum(storage.nbytes() for storage in storages.values())


def test_a_traced_step_keeps_what_a_real_one_saves(tmp_path: Path) -> None:
    of = config(tiny_tokenizer(tmp_path))
    model, batch = real(of, 12)
    traced = traced_step(hollow(of), shape_of(batch), "cpu", autocast=False, backward=True)
    assert traced.kept == pytest.approx(saved_bytes(model, batch), rel=0.03)
    assert 0 < traced.workspace < traced.kept


def test_what_is_counted_without_values_is_counted_with_them(tmp_path: Path) -> None:
    """The same operations, on real tensors."""
    of = config(tiny_tokenizer(tmp_path))
    model, batch = real(of, 12)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    with Allocated(_tensors(model, batch)) as allocated:
        loss = batch_loss(model(batch))
        kept = allocated.live
        loss.backward()
    traced = traced_step(hollow(of), shape_of(batch), "cpu", autocast=False, backward=True)
    assert traced.kept == pytest.approx(kept, rel=0.02)
    assert traced.workspace == pytest.approx(allocated.peak - kept, rel=0.05)


SHAPE = StepShape(512, 64, 288, 128, 3)


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelConfig, dict[int | None, StepCost]]:
    """Of a model of 8 layers, by `recompute`."""
    of = config(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")), layers=8)
    return of, {every: step_cost(of, SHAPE, 8, recompute=every) for every in (None, 2)}


def test_few_layers_and_two_lengths_tell_of_all(costs: tuple[ModelConfig, dict[int | None, StepCost]]) -> None:
    of, by_recompute = costs
    for every in (None, 2):
        model = hollow(of)
        if every is not None:
            model.language.recompute(every)
        kept = traced_step(model, SHAPE.of(1536), "cuda", autocast=True, backward=False).kept
        workspace = traced_step(model, SHAPE.of(1536), "cpu", autocast=True, backward=True).workspace
        assert by_recompute[every].at(1536).kept == pytest.approx(kept, rel=0.01)
        assert by_recompute[every].at(1536).workspace == pytest.approx(workspace, rel=0.05)


def test_recomputing_every_second_layer_keeps_little_over_half(
    costs: tuple[ModelConfig, dict[int | None, StepCost]],
) -> None:
    assert 0.5 < costs[1][2].kept[1] / costs[1][None].kept[1] < 0.6


def test_a_layer_of_7b_keeps_177_kib_a_token_on_a_gpu() -> None:
    """Dropout's masks are bytes there, where `bench/counts.py` (184.6 KiB on the meta device) has bfloat16; attention
    keeps its output (8 KiB) and sums."""
    language = LanguageConfig(dtype="bfloat16", architecture=LANGUAGE["llama-7b"])
    of = ModelConfig(vision=VisionConfig(architecture={**VISION["ViT-L-14"], "layers": 1}), language=language)
    shape = StepShape(2048, 128, 1024, 739)
    two, three = (traced_step(hollow(of, None, n), shape, "cuda", True, False).kept for n in (2, 3))
    expected = 184.6 - 4 * 4 + 8 + 32 * 4 / 1024
    assert (three - two) / 2048 / 1024 == pytest.approx(expected, rel=0.005)


def test_allocated_counts_what_is_there_and_the_most_there_was() -> None:
    known = torch.zeros(1000)
    with Allocated([known]) as allocated:
        view, a = known[:10], torch.zeros(100)
        b = a.view(10, 10)
        assert allocated.live == 400
        del a, view
        assert allocated.live == 400, "its view holds it"
        del b
    assert (allocated.live, allocated.peak) == (0, 400)
