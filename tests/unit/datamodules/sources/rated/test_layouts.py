"""A small copy of each dataset of rated images, built from its published layout and read back."""

from collections import Counter
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from scipy.io import loadmat, savemat

import experiments.schemas  # noqa: F401
from datamodules.building import build
from datamodules.indexed import IndexedShards
from datamodules.parts import Rejected
from datamodules.sources import koniq
from datamodules.writers.pools import SINGLE_WORD_TAIL
from depictqa.sample import Slot, Task
from experiments.build import run

CONF = Path(__file__).resolve().parents[5] / "conf"


def options(layout, **changes):
    """Everything in training, any difference enough."""
    cap = {"pairs_per_reference": 10**6} if layout.module.PUBLISHED.references else {"pairs_per_photo": 3.0}
    return {"margin": 1e-6, "val": 0.0, "test": 0.0, **cap, **changes}


def parts_of(layout, root, **changes):
    return {part.split: part for part in layout.module.parts(root, 0, **options(layout, **changes))}


def tail(path):
    return path.rsplit("/", 1)[-1].lower()


def scores_of(layout):
    """By the end of the path, which tells studies and folders apart where names do not."""
    return {image.lower(): score for image, _, score in layout.rows}


def score(scores, path):
    return next(value for name, value in scores.items() if f"/{path.lower()}".endswith(f"/{name}"))


def test_pairs_are_what_the_table_says(layout, tmp_path):
    part = parts_of(layout, layout.make(tmp_path))["train"]
    scores, published = scores_of(layout), layout.module.PUBLISHED
    assert len(scores) == len(layout.rows)
    for item in part.items:
        assert not isinstance(item, Rejected), item
        best, worst = (item.a, item.b) if item.better is Slot.A else (item.b, item.a)
        assert (score(scores, best) > score(scores, worst)) == published.higher_is_better
        if published.references:
            references = {r for image, r, _ in layout.rows if f"/{best}".lower().endswith(f"/{image}".lower())}
            assert references == {r for image, r, _ in layout.rows if f"/{worst}".lower().endswith(f"/{image}".lower())}
            assert {tail(item.reference)} == {r.lower() for r in references}
    pairs = [frozenset((item.a, item.b)) for item in part.items]
    assert len(set(pairs)) == len(pairs) and all(len(pair) == 2 for pair in pairs)
    if published.references and layout.name != "live_md":
        per_reference = Counter(r for _, r, _ in layout.rows).values()
        assert len(pairs) == sum(n * (n - 1) // 2 for n in per_reference), "all of them, as no cap binds"
    assert abs(sum(item.better is Slot.A for item in part.items) - len(pairs) / 2) <= 0.5
    brief = [flag for item in part.items for flag in item.single_word]
    assert abs(sum(brief) - len(brief) / 2) <= 0.5


def test_a_build_reads_back(layout, tmp_path):
    layout.make(tmp_path / "raw")
    parts = layout.module.parts(tmp_path / "raw", 0, **options(layout, test=0.5))
    counts = build(parts, tmp_path / "out", seed=0, max_rejected=0.0)
    num_asked = 2 if layout.module.PUBLISHED.references else 1
    assert counts == {f"templated/{part.split}": num_asked * len(part.items) for part in parts}
    assert [part.split for part in parts] == ["train", "test"]
    for part in parts:
        samples = IndexedShards(tmp_path / "out/templated", part.split)
        for number, sample in enumerate(samples):
            item = part.items[number // num_asked]
            has_reference = num_asked == 2 and number % 2 == 0
            assert sample.images.keys() == ({Slot.REFERENCE} if has_reference else set()) | {Slot.A, Slot.B}
            assert (sample.task, sample.truth.better) == (Task.COMPARISON, item.better)
            brief = sample.dialogue[0].question.endswith(SINGLE_WORD_TAIL)
            assert brief == item.single_word[number % num_asked] and (brief or part.split == "train")


def test_what_is_not_fit_is_set_apart_and_named(layout, tmp_path, touch):
    """A row without score, a row without its image, an image without a row: each is named once."""
    (without, r0, _), *rest = layout.rows
    layout.write(tmp_path, [(without, r0, None), *rest], touch)
    files = {f"/{path.relative_to(tmp_path)}".lower(): path for path in tmp_path.rglob("*")}
    gone = next(path for name, path in files.items() if name.endswith(f"/{rest[0][0]}".lower()))
    gone.unlink()
    touch(tmp_path / layout.stray)
    items = parts_of(layout, tmp_path)["train"].items
    rejected = [item for item in items if isinstance(item, Rejected)]
    assert len(rejected) == 3
    no_score, no_image, no_row = rejected
    assert "has no score but" in no_score.reason and Path(without).name.lower() in no_score.reason.lower()
    assert (
        f"not found in '{tmp_path}'; put it there" in no_image.reason and gone.name.lower() in no_image.reason.lower()
    )
    assert layout.stray in no_row.name and "no row in the table of" in no_row.reason


def test_a_missing_table_or_folder_is_named_with_its_origin(layout, tmp_path, touch):
    layout.write(tmp_path, layout.rows, touch)
    origin = layout.module.PUBLISHED.origin
    for path in sorted(p for p in tmp_path.rglob("*") if p.suffix in (".csv", ".txt", ".xlsx", ".mat")):
        data = path.read_bytes()
        path.unlink()
        if layout.name != "pipal" or not list(path.parent.glob("*.txt")):
            with pytest.raises(FileNotFoundError) as error:
                parts_of(layout, tmp_path)
            assert "is missing; get it from" in str(error.value) and origin in str(error.value)
        path.write_bytes(data)
    (tmp_path / "none").mkdir()
    for raw in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="is missing; get it from"):
            parts_of(layout, raw)


def test_builds_from_the_command_line(layout, tmp_path, capsys):
    """With the defaults of its YAML."""
    layout.make(tmp_path / "raw")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = ["program=build", f"source={layout.name}", f"raw={tmp_path / 'raw'}", f"out={tmp_path / 'out'}"]
        metrics = run(compose("run", [*overrides, "seed=0", "num_workers=1"]))
    trained_on = layout.name in ("kadid", "pipal", "koniq", "spaq")
    assert ("samples/templated/train" in metrics) == trained_on and metrics["samples/templated/test"] > 0
    assert not (tmp_path / "out/rejected.jsonl").exists()
    assert "templated/test" in capsys.readouterr().out


def test_a_misspelt_option_is_an_error(layout, tmp_path):
    with pytest.raises(TypeError, match="margins"):
        parts_of(layout, layout.make(tmp_path), margins=1.0)


def test_images_of_one_study_only_are_compared(all_layouts, tmp_path):
    layout = all_layouts["live_md"]
    items = parts_of(layout, layout.make(tmp_path))["train"].items
    assert len(items) == 2 * 2 * 10  # references x studies x pairs of five
    assert all(item.a.split("/")[2] == item.b.split("/")[2] == item.reference.split("/")[2] for item in items)
    assert {tail(item.reference) for item in items} == {"cows.bmp", "iceroad.bmp"}


def test_live_without_the_realigned_scores(all_layouts, tmp_path):
    layout = all_layouts["live"]
    whole = parts_of(layout, layout.make(tmp_path))["train"].items
    table = tmp_path / "dmos_realigned.mat"
    content = loadmat(table)
    savemat(tmp_path / "dmos.mat", {"dmos": content["dmos_new"], "orgs": content["orgs"]})
    table.unlink()
    assert parts_of(layout, tmp_path)["train"].items == whole
    savemat(tmp_path / "dmos.mat", {"dmos": content["dmos_new"][:, :-1], "orgs": content["orgs"]})
    with pytest.raises(ValueError, match="dmos.mat' and refnames_all.mat do not list 982 images each"):
        parts_of(layout, tmp_path)


def test_the_published_split_of_koniq(all_layouts, tmp_path):
    layout = all_layouts["koniq"]
    layout.make(tmp_path)
    names = [image for image, _, _ in layout.rows]
    sets = ["training"] * 20 + ["validation"] * 5 + ["test"] * 5
    lines = [f"{name},{where}" for name, where in zip(names, sets, strict=True)]
    (tmp_path / koniq.SETS).write_text("\n".join(["image_name,set", *lines]))
    parts = parts_of(layout, tmp_path, test=0.9)
    assert {split: len(part.items) for split, part in parts.items()} == {"train": 60, "val": 10, "test": 10}
    assert {tail(path) for item in parts["val"].items for path in (item.a, item.b)} <= set(names[20:25])
    (tmp_path / koniq.SETS).write_text("image_name,set\n00001.jpg,tset")
    with pytest.raises(ValueError, match="row 1: set 'tset' unknown; choose from training, validation, test"):
        parts_of(layout, tmp_path)


@pytest.mark.parametrize("name", ["../I01_11_01.png", "/I01_11_01.png"])
def test_a_row_that_leaves_the_root_is_set_apart(all_layouts, tmp_path, name):
    layout = all_layouts["kadid"]
    layout.make(tmp_path)
    table = tmp_path / "kadid10k/dmos.csv"
    table.write_bytes(table.read_bytes().replace(b"\nI01_11_01.png", b"\n" + name.encode()))
    items = parts_of(layout, tmp_path)["train"].items
    (rejected,) = (item for item in items if isinstance(item, Rejected))
    assert "dmos.csv' row 1" in rejected.name and f"'{name}' leaves the data root" in rejected.reason
