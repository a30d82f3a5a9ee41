import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datamodules.indexed import IndexedShards
from experiments.build import build, run


@pytest.fixture
def raw(tmp_path):
    """Forty comparisons as the released metas have them."""
    raw = tmp_path / "raw"
    (raw / "metas").mkdir(parents=True)
    objects = []
    for number in range(40):
        paths = {field: f"{field}_{number}.png" for field in ("image_ref", "image_A", "image_B")}
        for place, path in enumerate(paths.values()):
            pixels = np.random.default_rng([number, place]).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(raw / path)
        said = [{"from": "human", "value": "Which is better?"}, {"from": "gpt", "value": "Image A"}]
        objects.append({**paths, "task_type": "quality_compare", "conversations": said})
    (raw / "metas" / "train.json").write_text(json.dumps(objects))
    return raw


def config(**changed):
    return SimpleNamespace(**{"source": "metas", "raw": None, "out": None, "seed": 0, "held_out": 0.2, **changed})


def test_builds_shards_and_tells_their_sizes(raw, tmp_path, capsys):
    out = tmp_path / "out"
    metrics = run(config(raw=str(raw), out=str(out)))
    assert metrics.keys() == {"samples/templated/train", "samples/templated/val"}
    assert sum(metrics.values()) == 40
    for split in ("train", "val"):
        assert len(IndexedShards(out / "templated", split)) == metrics[f"samples/templated/{split}"]
    assert "templated/train" in capsys.readouterr().out
    with pytest.raises(ValueError, match="out' exists already; remove it or choose another folder"):
        run(config(raw=str(raw), out=str(out)))


def test_nothing_is_held_out_where_none_is_asked_for(raw, tmp_path):
    assert build("metas", tmp_path / "out", raw, seed=0, held_out=0.0) == {"templated/train": 40}


def test_what_is_not_said_is_asked_for(raw, tmp_path):
    with pytest.raises(ValueError, match="say what to build and where"):
        run(config(source=None, out=str(tmp_path / "out")))
    with pytest.raises(
        ValueError, match="source 'metas' is made from files; give the folder that holds them .raw=DIR."
    ):
        run(config(out=str(tmp_path / "out")))
    with pytest.raises(ValueError, match="source 'other' unknown; choose .*metas"):
        run(config(source="other", raw=str(raw), out=str(tmp_path / "out")))
    with pytest.raises(ValueError, match="held_out is 1.5"):
        run(config(raw=str(raw), out=str(tmp_path / "out"), held_out=1.5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
