import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.building import build
from datamodules.indexed import IndexedShards
from datamodules.parts import Rejected
from datamodules.sources import bapps
from datamodules.writers.pools import SINGLE_WORD_TAIL
from depictqa.sample import Slot, Task, Truth

VOTES = dict(np.load(Path(__file__).with_name("bapps_judgements.npz"), allow_pickle=False))
"""SET_SUBSET -> how many people preferred p1, by stem; see bapps_judgements.md."""


def patch(*seed, size=16):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def write(folder, judges, members=("ref", "p0", "p1"), judge="judge"):
    for place, member in enumerate(members):
        (folder / member).mkdir(parents=True, exist_ok=True)
        for number in range(len(judges)):
            seed = (sum(map(ord, str(folder.name) + str(folder.parent.name))), place, number)
            patch(*seed).save(folder / member / f"{number:06d}.png")
    (folder / judge).mkdir(exist_ok=True)
    for number, value in enumerate(judges):
        np.save(folder / judge / f"{number:06d}.npy", np.array([value], dtype=np.float32))


@pytest.fixture
def raw(tmp_path):
    """BAPPS in small, in its published layout."""
    raw = tmp_path / "raw"
    for subset in bapps.SUBSETS["train"]:
        write(raw / "2afc/train" / subset, [0, 1, 0.5, 1, 1])
    for subset in bapps.SUBSETS["val"]:
        write(raw / "2afc/val" / subset, [0, 0.2, 1])
    (raw / "2afc/val/cnn/ref/.DS_Store").touch()
    (raw / "2afc/val/cnn/Thumbs.db").touch()
    return raw


def parts(raw, **options):
    return {part.split: part for part in bapps.parts(raw, seed=0, **{"held_out": 0.0, **options})}


def records(part):
    return [part.make(n, item) for n, item in enumerate(part.items) if not isinstance(item, Rejected)]


def test_the_real_judgements_give_the_papers_selection():
    kept = {name: int(bapps.unanimous(VOTES[f"train_{name}"] / 2).sum()) for name in bapps.SUBSETS["train"]}
    assert kept == {"cnn": 30_507, "mix": 44_744, "traditional": 40_395}
    assert sum(kept.values()) == 115_646
    assert sum(len(VOTES[f"train_{name}"]) for name in kept) == 151_400


def test_the_real_val_judgements_give_the_known_human_rows():
    """Triplets, and the mean of p^2 + (1 - p)^2 in percent."""
    known = {
        "traditional": (4_720, 80.84), "cnn": (4_720, 84.35), "superres": (10_856, 73.60),
        "deblur": (9_440, 66.09), "color": (4_720, 68.83), "frameinterp": (1_888, 68.61),
    }  # fmt: skip
    for name, (count, human) in known.items():
        p = VOTES[f"val_{name}"] / 5
        assert (len(p), round(100 * float(np.mean(p**2 + (1 - p) ** 2)), 2)) == (count, human)


def test_order_and_brevity_are_balanced_by_construction():
    judges = np.concatenate([VOTES[f"train_{name}"] / 2 for name in bapps.SUBSETS["train"]])
    judges = judges[bapps.unanimous(judges)]
    triplets = [bapps.Triplet("train", "mix", f"{i:06d}", float(judge)) for i, judge in enumerate(judges)]
    placed = bapps.ordered(triplets, np.random.default_rng(0), training=True)
    a_is_better = [(triplet.judge < 0.5) != triplet.swapped for triplet in placed]
    assert sum(a_is_better) == len(triplets) / 2 == 57_823
    assert sum(sum(triplet.single_word) for triplet in placed) == len(triplets)
    assert 0.49 < np.mean([triplet.swapped for triplet in placed]) < 0.51, "which file is A tells nothing"
    tested = bapps.ordered(triplets[:9], np.random.default_rng(0), training=False)
    assert {triplet.single_word for triplet in tested} == {(True, True)}


def test_unanimous_train_triplets_teach_and_all_of_val_tests(raw):
    found = parts(raw)
    assert {split: len(part.items) for split, part in found.items()} == {"train": 12, "test": 18}
    assert {part.source for part in found.values()} == {"templated"}
    train, test = records(found["train"]), records(found["test"])
    assert [record.key for record in train[:4]] == [f"traditional-{n:06d}" for n in (0, 1, 3, 4)]
    assert Counter(record.samples[0].truth.better for record in train) == {Slot.A: 6, Slot.B: 6}
    assert {record.samples[0].truth.vote for record in train} == {0.0, 1.0}
    assert [record.samples[0].truth for record in test[3:6]] == [
        Truth(Slot.A, 0.0, num_votes=5), Truth(Slot.A, 0.2, num_votes=5), Truth(Slot.B, 1.0, num_votes=5),
    ]  # fmt: skip


def test_a_record_is_asked_with_and_without_its_reference(raw):
    for part in parts(raw).values():
        for record in records(part):
            assert [sample.slots for sample in record.samples] == [tuple(Slot), (Slot.A, Slot.B)]
            for sample in record.samples:
                (turn,) = sample.dialogue
                assert sample.task is Task.COMPARISON
                assert f"Image {sample.truth.better.upper()}" in turn.answer
                assert (turn.answer == f"Image {sample.truth.better.upper()}") == turn.question.endswith(
                    SINGLE_WORD_TAIL
                )
    brief = [s.dialogue[0].question.endswith(SINGLE_WORD_TAIL) for r in records(parts(raw)["train"]) for s in r.samples]
    assert sum(brief) == 12 and len(brief) == 24
    tested = [s.dialogue[0].question for r in records(parts(raw)["test"]) for s in r.samples]
    assert all(question.endswith(SINGLE_WORD_TAIL) for question in tested)


def test_the_images_follow_the_order_of_a_and_b(raw):
    part = parts(raw, side=None)["train"]
    assert {item.swapped for item in part.items} == {False, True}
    for item, record in zip(part.items, records(part), strict=True):
        folder = raw / "2afc/train" / item.subset
        a, b = ("p1", "p0") if item.swapped else ("p0", "p1")
        for slot, member in {Slot.REFERENCE: "ref", Slot.A: a, Slot.B: b}.items():
            assert record.images[slot] == (folder / member / f"{item.stem}.png").read_bytes()
        assert record.samples[0].truth.better is (Slot.B if (item.judge == 1) != item.swapped else Slot.A)


def test_patches_are_scaled_by_pillows_bicubic(raw):
    record = records(parts(raw, side=8)["test"])[0]
    with Image.open(raw / "2afc/val/traditional/p0/000000.png") as image:
        expected = image.resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(record.images[Slot.A]), np.asarray(expected))
    buffer = io.BytesIO()
    patch(1).resize((16, 12)).save(buffer, "PNG")
    (raw / "2afc/val/traditional/p0/000000.png").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="p0/000000.png' has 16x12 px; BAPPS has squares"):
        records(parts(raw, side=8)["test"])


def test_a_tie_has_no_better_image_and_no_answer(raw):
    np.save(raw / "2afc/val/cnn/judge/000001.npy", np.float32([0.5]))
    record = records(parts(raw)["test"])[4]
    assert record.samples[0].truth == Truth(None, 0.5, num_votes=5)
    assert record.samples[0].dialogue[0].answer == "" and record.samples[0].dialogue[0].question


def test_held_out_references_become_val(raw):
    found = parts(raw, held_out=0.5)
    train, val = ([item.reference for item in found[split].items] for split in ("train", "val"))
    assert len(train) + len(val) == 12 and len(val) >= 3 and not set(train) & set(val)
    assert {item.single_word for item in found["val"].items} == {(True, True)}
    other = {part.split: part for part in bapps.parts(raw, seed=1, held_out=0.5)}
    assert [item.reference for item in other["val"].items] != val


def test_what_is_not_whole_is_set_apart_and_named(raw):
    train = raw / "2afc/train/cnn"
    (train / "p1/000001.png").unlink()
    (train / "judge/000004.npy").write_bytes(b"")
    np.save(train / "judge/000003.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(train / "judge/000000.npy", np.float32([1.5]))
    patch(9).save(train / "ref/000099.png")
    np.save(raw / "2afc/val/cnn/judge/000000.npy", np.zeros((2, 2)))
    found = parts(raw)
    rejected = {item.name: item.reason for item in found["train"].items if isinstance(item, Rejected)}
    assert rejected.keys() == {f"2afc/train/cnn {stem}" for stem in ("000000", "000001", "000003", "000004", "000099")}
    assert rejected["2afc/train/cnn 000001"] == "lacks p1/000001.png; get it again"
    assert rejected["2afc/train/cnn 000099"] == "lacks p0/000099.png, p1/000099.png, judge/000099.npy; get it again"
    assert "000000.npy' holds 1.5, no fraction 0..1" in rejected["2afc/train/cnn 000000"]
    assert "000003.npy' cannot be read (Object arrays" in rejected["2afc/train/cnn 000003"]
    assert "000004.npy' cannot be read" in rejected["2afc/train/cnn 000004"]
    (item,) = (item for item in found["test"].items if isinstance(item, Rejected))
    assert item.name == "2afc/val/cnn 000000" and "holds no single number" in item.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sets": ["vall"]}, "BAPPS set 'vall' unknown; choose from train, val"),
        ({"subsets": ["noise"]}, "BAPPS subset 'noise' unknown; choose from cnn, color, deblur"),
        ({"sets": ["val"], "subsets": ["mix"]}, "no BAPPS subset is chosen"),
        ({"side": 4}, "side is 4; give at least 8 px"),
        ({"held_out": 1.0}, "held_out is 1.0"),
    ],
)
def test_unfit_options_are_named(raw, options, message):
    with pytest.raises(ValueError, match=message):
        parts(raw, **options)


def test_sets_and_subsets_are_chosen(raw, tmp_path):
    found = parts(raw, sets=["val"], subsets=["mix", "deblur"])
    assert list(found) == ["test"] and {item.subset for item in found["test"].items} == {"deblur"}
    inside = parts(raw / "2afc/val", sets=["val"])["test"]
    assert inside.items == parts(raw)["test"].items, "an unpacked twoafc_val.tar.gz"
    assert records(inside)[0].images == records(parts(raw / "2afc")["test"])[0].images
    with pytest.raises(FileNotFoundError, match=r"2afc/train/traditional/ref' is missing; .*source.sets"):
        parts(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere' is not a folder; give the folder that holds BAPPS' 2afc"):
        parts(tmp_path / "nowhere")


def test_built_shards_are_read_back(raw, tmp_path):
    (raw / "2afc/val/color/p1/000002.png").write_bytes(b"cut")
    counts = build(bapps.parts(raw, seed=0, held_out=0.3), tmp_path / "out", seed=0, max_rejected=0.05)
    assert counts["templated/test"] == 2 * 17 and counts["templated/train"] + counts["templated/val"] == 24
    shards = IndexedShards(tmp_path / "out/templated", "test")
    assert {image.size for image in shards[0].images.values()} == {(64, 64)}
    assert shards[2].truth == Truth(Slot.A, 0.2, num_votes=5)
    (line,) = (tmp_path / "out/rejected.jsonl").read_text().splitlines()
    assert "p1/000002.png' cannot be read" in line


def test_the_jnd_pairs_are_read(raw):
    for subset in ("traditional", "cnn"):
        write(raw / "jnd/val" / subset, [0, 1 / 3, 1], members=("p0", "p1"), judge="same")
    pairs = bapps.read_jnd(raw)
    assert [pair.same for pair in pairs] == [0, 0.3333, 1] * 2
    assert pairs[4].subset == "cnn" and pairs[4].p1 == raw / "jnd/val/cnn/p1/000001.png" and pairs[4].p1.is_file()
    (raw / "jnd/val/cnn/p0/000001.png").unlink()
    with pytest.raises(ValueError, match="jnd/val/cnn 000001 lacks p0/000001.png"):
        bapps.read_jnd(raw)
    with pytest.raises(FileNotFoundError, match="jnd/val/traditional/p0' is missing"):
        bapps.read_jnd(raw / "2afc")
