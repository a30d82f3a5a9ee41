"""The timing of the loader compares equal pixels, in all forms of shards."""

from __future__ import annotations

import json

import pytest

from bench import loader


def test_a_small_run(capsys) -> None:
    import torch

    threads = torch.get_num_threads()
    given = ["--samples", "16", "--draws", "16", "--rounds", "2", "--workers", "1", "--kinds", "bapps", "coco"]
    try:
        found = loader.main(loader.arguments([*given, "--json"]))
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out) == found
    assert [kind["kind"][:5] for kind in found["kinds"]] == ["BAPPS", "COCO:", "all o"]
    for kind in found["kinds"]:
        assert kind["pixels_differ_by"] == 0 and kind["normalised_differ_by"] < 1e-5
        official, *ours = kind["rows"]
        assert [row["way"] for row in ours] == list(loader.FORMS)
        assert official["times_official"] == [1, 1]
        assert all(len(row["samples_per_second"]) == 2 and min(row["samples_per_second"]) > 0 for row in ours)
        assert ours[1]["kilobytes_an_image"] > ours[0]["kilobytes_an_image"] > 10
    one, other, mixture = (kind["rows"][0]["cpu_ms_a_sample"][0] for kind in found["kinds"])
    assert min(one, other) < mixture < max(one, other)
    options = loader.arguments(given)
    loader.show(found["kinds"][0], options)
    assert "pixels differ by 0" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        loader.arguments(["--samples", "17"])
