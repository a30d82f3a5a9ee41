"""The drill with a failing server loses no item and asks for nothing twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "bench" / "api_faults.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_api_faults", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_fault_once(bench, capsys, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "restored after the test")
    monkeypatch.setenv("NO_PROXY", "restored after the test")
    num = len(bench.FAULTS)
    found = bench.main(bench.arguments(["--items", str(2 * num)]))
    assert (found["lost"], found["asked_again"], found["asked_again_though_answered"]) == (0, 2, 0)
    rows = {kind: numbers for kind, *numbers in found["rows"]}
    assert rows["429, Retry-After"] == [2, 4, 6, 2]
    assert rows["500 for good"] == [2, 8, 8, 0, "failed: 500: scripted (attempts: 4)"]
    assert found["answered_at_last"] == 2 * num - 2 * 4  # all but what was refused or empty
    assert found["wrong_key"][0] <= 8 and "refuses the key (401)" in found["wrong_key"][1]
    assert 10 <= found["cost_cap"][0] <= 17 and "(baseline.api.max_cost)" in found["cost_cap"][1]
    told = capsys.readouterr().out
    assert "lost: 0 of 34 items" in told and bench.KEY not in told
