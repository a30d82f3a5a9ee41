from __future__ import annotations

import pytest
import torch

from depictqa.optim import OptimizerConfig, adam, schedule, warmup_then_linear


def test_warmup_is_a_tenth_then_falls_linearly_to_zero() -> None:
    factors = [warmup_then_linear(step, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert factors[10] == 1.0
    assert factors[10:] == pytest.approx([(100 - step) / 90 for step in range(10, 101)])
    assert factors[100] == 0.0
    assert all(f > 0 for f in factors[:100])


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_short_runs_have_a_rate_at_every_step(num_steps: int) -> None:
    assert all(0 < warmup_then_linear(step, num_steps) <= 1 for step in range(num_steps))


def test_floor_and_no_warmup() -> None:
    assert warmup_then_linear(0, 10, warmup=0.0) == 1.0
    assert warmup_then_linear(10, 10, floor=0.2) == pytest.approx(0.2)


def test_adam_takes_the_papers_numbers_and_only_what_is_trained() -> None:
    layer = torch.nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    optimizer = adam(layer.parameters(), OptimizerConfig())
    (group,) = optimizer.param_groups
    assert group["params"] == [layer.weight]
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (
        2e-4,
        (0.9, 0.95),
        1e-8,
        1e-3,
    )


def test_nothing_to_train_is_the_users_error() -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        adam(torch.nn.Linear(2, 2).requires_grad_(False).parameters(), OptimizerConfig())


def test_schedule_drives_the_optimizer() -> None:
    config = OptimizerConfig(lr=1.0)
    optimizer = adam(torch.nn.Linear(2, 2).parameters(), config)
    scheduler = schedule(optimizer, config, 20)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([warmup_then_linear(step, 20) for step in range(20)])
