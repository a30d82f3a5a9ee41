"""The timing of the loader compares equal pixels, in all forms of shards."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "bench" / "loader.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_loader", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_small_run(bench, capsys) -> None:
    import torch

    threads = torch.get_num_threads()
    given = ["--samples", "16", "--draws", "16", "--rounds", "2", "--workers", "1", "--kinds", "bapps", "coco"]
    try:
        found = bench.main(bench.arguments([*given, "--json"]))
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out) == found
    assert [kind["kind"][:5] for kind in found["kinds"]] == ["BAPPS", "COCO:", "all o"]
    for kind in found["kinds"]:
        assert kind["pixels_differ_by"] == 0 and kind["normalised_differ_by"] < 1e-5
        official, *ours = kind["rows"]
        assert [row["way"] for row in ours] == list(bench.FORMS)
        assert official["times_official"] == [1, 1]
        assert all(len(row["samples_per_second"]) == 2 and min(row["samples_per_second"]) > 0 for row in ours)
        assert ours[1]["kilobytes_an_image"] > ours[0]["kilobytes_an_image"] > 10
    one, other, mixture = (kind["rows"][0]["cpu_ms_a_sample"][0] for kind in found["kinds"])
    assert min(one, other) < mixture < max(one, other)
    options = bench.arguments(given)
    bench.show(found["kinds"][0], options)
    assert "pixels differ by 0" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        bench.arguments(["--samples", "17"])
