"""Seconds at least, of operations whose FLOPs and bytes are known."""

from __future__ import annotations

import json

import pytest
import torch

from bench import roofline
from bench.roofline import BANDWIDTH, RATE, Roofline


def test_an_operation_takes_the_longer_of_flops_and_bytes() -> None:
    with torch.device("meta"):
        left, right, frozen = (torch.empty(size, dtype=torch.bfloat16) for size in ((4096, 4096), (4096, 8), (8, 4096)))
        with Roofline({(4096, 4096)}, 0.0) as counted:
            left @ left  # held back by FLOPs
            frozen @ right  # by bytes
            right.t() + 1.0  # no product
    products = 2 * 4096**3 / RATE + 2 * (2 * 8 * 4096 + 64) / BANDWIDTH
    assert counted.found.products == pytest.approx(products)
    assert counted.found.all == pytest.approx(products + 2 * 2 * 8 * 4096 / BANDWIDTH)
    assert counted.found.float8 == pytest.approx(products - 4096**3 / RATE)
    assert counted.found.operations == 3


def test_rungs_take_less_and_less(capsys: pytest.CaptureFixture[str]) -> None:
    found = roofline.main(roofline.arguments(["--layers", "1", "--json"]))
    assert json.loads(capsys.readouterr().out) == found
    seconds = {name: gpu for name, (gpu, _) in found["rows"].items()}
    order = ["+ packing, our loader", "+ compile", "+ supervised head: ours", "+ frozen weights in float8"]
    assert [seconds[name] for name in order] == sorted((seconds[name] for name in order), reverse=True)
    assert len(set(seconds.values())) >= 5
    official, ours = found["rows"]["official loop: one sample, eager"], found["rows"]["ours, not compiled"]
    assert official[1] > 5 * ours[1], "launches"
