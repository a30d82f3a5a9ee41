"""What a step costs is counted for both loops, and ours costs what it is meant to."""

from __future__ import annotations

import json

from bench import counts


def test_a_small_run(capsys) -> None:
    found = counts.main(counts.arguments(["--layers", "2", "--draws", "2000", "--json"]))
    assert json.loads(capsys.readouterr().out) == found
    official, ours = found["logit_rows_per_supervised_token"]
    assert ours == 1 < official
    assert found["packing_efficiency"][1] > 0.97
    for way in ("operations_a_sample_forward", "operations_a_sample_forward_backward"):
        official, ours = found[way]
        assert 0 < ours < official / 9
    official, ours = found["kept_bytes_a_token_and_layer"]
    assert ours <= 257 * 1024 < official
    assert not counts.packs._by_segment.__name__.startswith("segment"), "what was put in its place is taken out again"
