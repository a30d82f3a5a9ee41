"""A plan's bytes against those of a real model and its optimiser, and how strategies share them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from depictqa.costs.architectures import LANGUAGE, VISION
from depictqa.costs.memory import STRATEGIES, memory, parts, token_budget
from depictqa.costs.trace import StepCost, StepShape, hollow, step_cost
from depictqa.models.config import LanguageConfig, ModelConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.optim import OptimizerConfig, adam
from depictqa.testing import tiny_config

COST = StepCost((1000.0, 10.0), (200.0, 2.0))


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_parameters_gradients_and_states_are_exact(tokenizer_folder: Path, tuning: str) -> None:
    config = tiny_config(tokenizer_folder)
    config = replace(config, language=replace(config.language, tuning=tuning))
    model = DepictQA.build(config)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    optimizer = adam(model.parameters(), OptimizerConfig())
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    architecture = {**(config.language.architecture or {}), "vocab_size": len(model.tokenizer)}
    sizes = hollow(replace(config, language=replace(config.language, architecture=architecture)))
    found = memory(parts(sizes), 2, STRATEGIES["ddp"], 1, COST, 100)
    assert found.weights == sum(p.nbytes for p in model.parameters())
    assert found.gradients == sum(p.nbytes for p in trained)
    assert found.states == sum(value.nbytes for value in states)
    assert (found.exchanged, found.activations, found.workspace) == (0, 2000, 400)
    assert found.total == found.standing + 2400
    assert sum(part.parameters for part in parts(model)) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("trainable", [False, True])
def test_strategies_share_out_what_they_say(tokenizer_folder: Path, trainable: bool) -> None:
    config = tiny_config(tokenizer_folder)
    model = DepictQA.build(replace(config, vision=replace(config.vision, trainable=trainable)))
    found = {
        (name, count): memory(parts(model), 2, strategy, count, COST, 100)
        for name, strategy in STRATEGIES.items()
        for count in (1, 8)
    }
    alone = found["ddp", 1]
    assert found["ddp", 8].standing == alone.standing + alone.gradients
    tower, projector = (sum(p.nbytes for p in part.parameters()) for part in (model.vision, model.projector))
    frozen = 0 if trainable else tower
    assert found["fsdp2", 8].weights == (alone.weights - frozen) / 8 + frozen, "a frozen tower is whole"
    assert found["fsdp2", 1].weights == alone.weights and found["fsdp2", 8].states == alone.states / 8
    first, second, third = (found[f"deepspeed {stage}", 8] for stage in (1, 2, 3))
    assert first.states == second.states == third.states == found["deepspeed 1", 1].states / 8
    assert first.gradients == 8 * second.gradients == 8 * third.gradients == alone.gradients / 2
    assert first.weights == second.weights == alone.weights / 2
    assert third.weights == first.weights / 8 + (tower + projector) / 2, "tower and projector are whole beside a part"
    assert third.exchanged > second.exchanged, "weights are gathered"


def test_a_budget_is_the_most_that_fits() -> None:
    assert token_budget(5000, COST, 5000 + 1200 + 12 * 640) == 640
    assert token_budget(5000, COST, 5000 + 1200 + 12 * 640 - 1) == 576
    assert token_budget(5000, COST, 5000) == 0


def test_frozen_weights_in_float8_take_a_byte_and_are_cast_by_no_strategy() -> None:
    language = LanguageConfig(dtype="bfloat16", architecture={**LANGUAGE["llama-7b"], "num_hidden_layers": 1})
    config = ModelConfig(vision=VisionConfig(architecture={**VISION["ViT-L-14"], "layers": 1}), language=language)
    wide, narrow = ({part.name: part for part in parts(hollow(config, float8=on))} for on in (False, True))
    assert narrow["decoder layers"].bytes == pytest.approx(wide["decoder layers"].bytes / 2, rel=1e-3)
    assert narrow["decoder layers"].cast_bytes == pytest.approx(narrow["decoder layers"].bytes, rel=1e-3)
    assert narrow["LoRA"] == wide["LoRA"]
    cost = step_cost(config, StepShape(256, 16, 0, 128), 1, float8=True)
    assert cost.kept[1] > 100_000
