"""A plan's tables: what stands where, and no cost without a price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from depictqa.costs.gpus import GPUS
from depictqa.costs.memory import Part
from depictqa.costs.tables import Plan, plan_tables
from depictqa.costs.trace import StepCost

PLAN = Plan(
    parts=[
        Part("vision tower", 0, 0, 0, 0, 0, 0, 0, "bfloat16"),
        Part("projector", 2, 10**9, 10**9, 0, 4 * 10**9, 2 * 10**9, 4 * 10**9, "float32"),
        Part("decoder layers", 20, 6 * 10**9, 0, 0, 12 * 10**9, 12 * 10**9, 0, "bfloat16"),
        Part("embeddings, head, last norm", 3, 10**9, 0, 0, 2 * 10**9, 2 * 10**9, 0, "bfloat16"),
    ],
    num_layers=10,
    cost=StepCost((0.0, 1e6), (0.0, 0.0)),
    tokens=8000,
    draws=1000.0,
    draw_tokens=500.0,
    draw_images=2.0,
    draw_flops=36e12,
    mfu=0.5,
    room=2e9,
    gpus=GPUS,
    counts=[1, 2, 8],
    prices={},
)


def test_tables_hold_what_they_say() -> None:
    parameters, memory, budget, time = plan_tables(PLAN)
    assert [cell.number for cell in parameters.rows[-1].cells] == ["8,000.00", "1,000.00", "", "18.00"]
    assert [row.head for row in memory.rows][:3] == [("ddp", "1"), ("ddp", "2"), ("ddp", "8")]
    assert [cell.number for cell in memory.rows[0].cells] == ["18.00", "4.00", "8.00", "0.00", "8.00", "0.00", "38.00"]
    assert "16.0 samples" in memory.notes[0]
    by_head = {row.head: [cell.number for cell in row.cells] for row in budget.rows}
    assert by_head["ddp", "1"] == ["none", "8,000", "16,000", "48,000", "108,992"]
    assert ("ddp", "2") not in by_head and ("fsdp2", "8") in by_head
    h100 = next(row for row in time.rows if row.head == ("h100",))
    assert [cell.number for cell in h100.cells] == ["80", "989.4", "13.74", "0.020", "0.010", "0.0025"]
    assert "cost" not in [column.name for column in time.columns]


def test_cost_is_hours_times_the_price_that_is_given() -> None:
    time = plan_tables(replace(PLAN, draws=1e6, prices={"h100": 3.0}))[-1]
    costs = {row.head[0]: row.cells[-1].value for row in time.rows}
    assert costs["h100"] == pytest.approx(3 * 1e6 * 36e12 / (0.5 * 989.4e12) / 3600)
    assert [name for name, cost in costs.items() if cost is not None] == ["h100"]
