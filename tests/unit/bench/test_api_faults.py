"""The drill with a failing server loses no item and asks for nothing twice."""

from __future__ import annotations

from bench import api_faults


def test_every_fault_once(capsys, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "restored after the test")
    monkeypatch.setenv("NO_PROXY", "restored after the test")
    num = len(api_faults.FAULTS)
    found = api_faults.main(api_faults.arguments(["--items", str(2 * num)]))
    assert (found["lost"], found["asked_again"], found["asked_again_though_answered"]) == (0, 2, 0)
    rows = {kind: numbers for kind, *numbers in found["rows"]}
    assert rows["429, Retry-After"] == [2, 4, 6, 2]
    assert rows["500 for good"] == [2, 8, 8, 0, "failed: 500: scripted (attempts: 4)"]
    assert found["answered_at_last"] == 2 * num - 2 * 4  # all but what was refused or empty
    assert found["wrong_key"][0] <= 8 and "refuses the key (401)" in found["wrong_key"][1]
    assert 10 <= found["cost_cap"][0] <= 17 and "(baseline.api.max_cost)" in found["cost_cap"][1]
    told = capsys.readouterr().out
    assert "lost: 0 of 34 items" in told and api_faults.KEY not in told
