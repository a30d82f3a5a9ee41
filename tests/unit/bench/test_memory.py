"""A plan's memory against a process's: what the system says a step took."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and tells glibc to return what is freed")
def test_a_steps_peak_is_the_planned_one() -> None:
    script = Path(memory.__file__)
    run = subprocess.run(
        [sys.executable, script, "--size", "small", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=script.parents[1],
    )
    found = json.loads(run.stdout)
    assert found["planned"]["total"] == pytest.approx(found["measured"], rel=0.1)


def test_planned_parts_add_up(tokenizer_folder: Path) -> None:
    import torch

    device = torch.device("cpu")
    model = memory.build_model("tiny", tokenizer_folder, device)
    batch = memory.full_pack(model, 64, 512)
    found = memory.planned(model, batch, device)
    assert 256 < batch.num_tokens <= 576
    assert found["total"] == sum(value for name, value in found.items() if name != "total")
    assert found["weights"] == sum(p.nbytes for p in model.parameters()) and found["activations"] > found["workspace"]
