import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, InstantiationException, MissingConfigException
from PIL import Image

import experiments.schemas  # noqa: F401
from datamodules.indexed import IndexedShards
from depictqa.sample import Slot
from experiments.build import run

CONF = Path(__file__).resolve().parents[3] / "conf"


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


def config(*overrides):
    """What `python run.py program=build ...` composes."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", ["program=build", "seed=0", "num_workers=1", *overrides])


def test_builds_shards_and_tells_their_sizes(raw, tmp_path, capsys):
    out = tmp_path / "out"
    metrics = run(config("source=metas", "source.held_out=0.2", f"raw={raw}", f"out={out}"))
    assert metrics.keys() == {"samples/templated/train", "samples/templated/val"}
    assert sum(metrics.values()) == 40
    for split in ("train", "val"):
        assert len(IndexedShards(out / "templated", split)) == metrics[f"samples/templated/{split}"]
    assert "templated/train" in capsys.readouterr().out
    with pytest.raises(ValueError, match="out' exists already; remove it or choose another folder"):
        run(config("source=metas", "source.held_out=0.2", f"raw={raw}", f"out={out}"))


def test_images_can_be_stored_as_the_model_takes_them(raw, tmp_path, capsys):
    """Scaled, not compressed, or both; what is embedded has no use for it."""
    for path in raw.glob("image_A_*.png"):
        Image.new("RGB", (9, 9), "teal").save(path)
    image = ["model.image.short_side=6", "model.image.long_side=18", "source.held_out=0"]
    sizes = {}
    for baked, compressed in ((False, True), (False, False), (True, False)):
        out = tmp_path / f"{baked}{compressed}"
        form = [f"baked={baked}", f"compressed={compressed}"]
        run(config("source=metas", f"raw={raw}", f"out={out}", *image, *form))
        shards = IndexedShards(out / "templated", "train")
        assert shards[0].images[Slot.A].size == ((6, 6) if baked else (9, 9))
        sizes[baked, compressed] = shards._parse(0, 0).places[Slot.A][1]
        said = "images are scaled to 6/18 px (short side/long side at most), as model.image says"
        assert (said in capsys.readouterr().out) == baked
    assert sizes[False, False] > 9 * 9 * 3 > sizes[False, True]
    with pytest.raises(ValueError, match="embedded images .*; leave out baked and compressed"):
        run(config("source=synthetic", f"out={tmp_path / 'tiny'}", "baked=true"))


def test_nothing_is_held_out_where_none_is_asked_for(raw, tmp_path):
    metrics = run(config("source=metas", "source.held_out=0", f"raw={raw}", f"out={tmp_path / 'out'}"))
    assert metrics == {"samples/templated/train": 40}


def test_what_is_not_said_is_asked_for(raw, tmp_path):
    out = f"out={tmp_path / 'out'}"
    with pytest.raises(ValueError, match="say what to build and where"):
        run(config(out))
    with pytest.raises(
        ValueError, match="this source is made from files; give the folder or archive that holds them .raw=DIR."
    ):
        run(config("source=metas", out))
    with pytest.raises(MissingConfigException, match="Could not find 'source/other'"):
        config("source=other", out)
    with pytest.raises(InstantiationException, match="held_out is 1.5"):
        run(config("source=metas", "source.held_out=1.5", f"raw={raw}", out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_a_misspelt_option_is_an_error(raw, tmp_path):
    with pytest.raises(ConfigCompositionException, match="heldout"):
        config("source=metas", "source.heldout=0.5", f"raw={raw}")


def test_what_was_set_apart_is_told(raw, tmp_path, capsys):
    (raw / "image_A_3.png").write_bytes(b"cut")
    out = tmp_path / "out"
    metrics = run(config("source=metas", "max_rejected=0.1", "source.held_out=0", f"raw={raw}", f"out={out}"))
    assert metrics == {"samples/templated/train": 39}
    assert "1 records could not be made" in capsys.readouterr().out
    (line,) = (out / "rejected.jsonl").read_text().splitlines()
    assert "train.json' record 3: image" in line and "image_A_3.png" in line


@pytest.fixture
def bapps(tmp_path):
    """BAPPS in small: four train triplets in each subset, of which three are unanimous, and two of val."""
    for subset, judges in {
        **{f"train/{name}": (0, 1, 0.5, 1) for name in ("traditional", "cnn", "mix")},
        **{f"val/{name}": (0.2, 1) for name in ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")},
    }.items():
        for member in ("ref", "p0", "p1", "judge"):
            folder = tmp_path / "dataset/2afc" / subset / member
            folder.mkdir(parents=True)
            for number, judge in enumerate(judges):
                if member == "judge":
                    np.save(folder / f"{number:06d}.npy", np.float32([judge]))
                    continue
                seed = [*subset.encode(), number, len(member), ord(member[1])]
                pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:06d}.png")
    return tmp_path / "dataset"


def test_bapps_is_built_from_its_published_layout(bapps, tmp_path):
    out = tmp_path / "out"
    metrics = run(config("source=bapps", "source.held_out=0.3", f"raw={bapps}", f"out={out}"))
    assert metrics.pop("samples/templated/test") == 2 * 12
    assert sum(metrics.values()) == 2 * 9 and len(metrics) == 2
    sample = IndexedShards(out / "templated", "test")[0]
    assert sample.truth.vote == 0.2 and {image.size for image in sample.images.values()} == {(64, 64)}
    with pytest.raises(InstantiationException, match="BAPPS set 'vall' unknown"):
        run(config("source=bapps", "source.sets=[vall]", f"raw={bapps}", f"out={tmp_path / 'other'}"))


def test_the_published_archive_gives_the_same_shards(bapps, tmp_path, capsys):
    archive = tmp_path / "twoafc_val.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(bapps / "2afc/val", "val")
    shards = []
    for name, raw in (("a", bapps), ("b", archive), ("c", archive)):
        metrics = run(config("source=bapps", "source.sets=[val]", f"raw={raw}", f"out={tmp_path / name}"))
        assert metrics == {"samples/templated/test": 24}
        shards.append((tmp_path / name / "templated/test/shard-000000.tar").read_bytes())
    assert shards[0] == shards[1] == shards[2]
    assert capsys.readouterr().out.count("unpacking '") == 1


def test_what_is_refused_of_an_archive_is_set_apart_with_the_rest(raw, tmp_path, capsys):
    archive = tmp_path / "metas.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(path for path in raw.rglob("*") if path.is_file()):
            file.write(path, path.relative_to(raw))
        file.writestr("/etc/passwd", "x")
    arguments = ("source=metas", "source.held_out=0", f"raw={archive}", f"out={tmp_path / 'out'}")
    with pytest.raises(ValueError, match="1 of 41 records cannot be made, .*'/etc/passwd': has an absolute path"):
        run(config(*arguments))
    assert run(config(*arguments, "max_rejected=0.03")) == {"samples/templated/train": 40}
    (line,) = (tmp_path / "out/rejected.jsonl").read_text().splitlines()
    assert "metas.zip' member '/etc/passwd'" in line
    assert "1 members of" in capsys.readouterr().out
    with pytest.raises(ValueError, match="train.json' is neither a folder nor one of .zip, .tar"):
        run(config("source=metas", f"raw={raw / 'metas/train.json'}", f"out={tmp_path / 'other'}"))


def test_the_embedded_data_as_a_source(tmp_path):
    few = [f"+source.num_{name}=4" for name in ("templated", "identification", "detailed", "external", "val", "test")]
    metrics = run(config("source=synthetic", f"out={tmp_path / 'out'}", *few))
    assert metrics["samples/external/train"] == 4
    assert (tmp_path / "out/tokenizer/tokenizer.model").is_file()


def test_checks_what_was_built(raw, tmp_path, capsys):
    out = tmp_path / "out"
    run(config("source=metas", "source.held_out=0.2", f"raw={raw}", f"out={out}"))
    assert sum(run(config(f"check={out}")).values()) == 40
    assert (out / "check.html").is_file()
    shutil.copytree(out / "templated/train", out / "templated/test")
    with pytest.raises(ValueError, match="problems in .*references are in both templated/train and templated/test"):
        run(config(f"check={out}", f"out={tmp_path / 'page.html'}"))
    assert "are in both" in (tmp_path / "page.html").read_text()


def test_a_sheet_of_all_distortions(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    run(config(f"sheet={path}", f"out={tmp_path / 'sheet.png'}"))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 35 * 200 and sheet.width > 6 * 256
    with pytest.raises(FileNotFoundError, match="photo '.*none.png' not found"):
        run(config(f"sheet={tmp_path / 'none.png'}"))


def test_reviewed_pools_are_used(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    pool = tmp_path / "pool.yaml"
    pool.write_text("{pool: comparison_questions, reviewed: true, items: ['Judge {x} and {y}.']}")
    small = ["source=dq495k", "source.width=40", "source.height=40", "source.num_records=300", f"pools=[{pool}]"]
    run(config(*small, f"raw={photos}", f"out={tmp_path / 'out'}"))
    asked = [sample.dialogue[0].question for sample in IndexedShards(tmp_path / "out/templated", "train")]
    assert any(question.startswith("Judge Image") for question in asked)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("source.num_records=abc", "an option of the source is of the wrong kind: .*'num_records': 'abc'"),
        ("max_rejected=2", "max_rejected is 2.0; give a share of 0 to 1"),
        ("num_workers=-2", "num_workers is -2; give at least 1"),
    ],
)
def test_impossible_values_are_named(tmp_path, option, message):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    small = ["source=dq495k", "source.width=40", "source.height=40", "source.num_records=8"]
    with pytest.raises(ValueError, match=message):
        run(config(*small, f"raw={tmp_path}", f"out={tmp_path / 'out'}", option))
    assert not (tmp_path / "out").exists()


def test_a_page_or_sheet_is_not_put_where_it_cannot_be(raw, tmp_path):
    run(config("source=metas", f"raw={raw}", f"out={tmp_path / 'out'}"))
    with pytest.raises(FileNotFoundError, match="folder '.*nowhere' not found"):
        run(config(f"check={tmp_path / 'out'}", f"out={tmp_path / 'nowhere/x.html'}"))
    run(config(f"check={tmp_path / 'out'}", f"out={tmp_path}"))
    assert (tmp_path / "check.html").is_file()
    with pytest.raises(ValueError, match="is no place for a PNG"):
        run(config(f"sheet={raw / 'image_A_0.png'}", f"out={tmp_path / 'x.jpg'}"))
    with pytest.raises(ValueError, match="image_A_0.png' has 9x9 px; give one of at least 32 px"):
        run(config(f"sheet={raw / 'image_A_0.png'}", f"out={tmp_path / 'x.png'}"))
