"""Pairs are distinct, differ by the margin, and become records that depend on their number alone."""

import io
import json
import pickle
from collections import Counter
from functools import partial

import numpy as np
import pytest
from PIL import Image

from datamodules.building import TooManyRejected, build
from datamodules.sources import kadid, rated_pairs
from datamodules.sources.ratings import Published, RatedImage, Ratings
from depictqa.sample import Slot

DMOS = Published("MADE", "", "CC0-1.0", images=9, references=3, lowest=0, highest=90, higher_is_better=False)


def rated(*scores, reference="a.png", study=""):
    return [RatedImage(f"{reference[0]}{study}_{n}.png", reference, score, study) for n, score in enumerate(scores)]


def same_reference(images, published=DMOS, **changes):
    options = {"margin": 10, "pairs_per_reference": 100, "val": 0.0, "test": 0.0, **changes}
    parts = rated_pairs.same_reference("raw", Ratings(tuple(images), ()), published, 0, **options)
    return {part.split: part.items for part in parts}


def test_the_margin_counts_and_low_dmos_are_better():
    (one, other) = same_reference(rated(10.0, 19.9, 20.0, 20.1))["train"]
    assert {frozenset((item.a, item.b)) for item in (one, other)} == {
        frozenset(("a_0.png", "a_2.png")), frozenset(("a_0.png", "a_3.png")),
    }  # fmt: skip
    for item in (one, other):
        assert {Slot.A: item.a, Slot.B: item.b}[item.better] == "a_0.png"


def test_a_margin_of_decimals_is_met_by_equal_differences():
    images = rated(4.57, 4.03)  # 0.54 less some 1e-16
    assert len(rated_pairs.differing(images, 0.54)) == 1


def test_no_more_pairs_of_a_reference_than_asked_for_whatever_the_others():
    many = [image for name in ("a.png", "b.png") for image in rated(*range(0, 90, 5), reference=name)]
    items = same_reference(many, pairs_per_reference=7)["train"]
    assert Counter(item.reference for item in items) == {"a.png": 7, "b.png": 7}
    alone = same_reference(rated(*range(0, 90, 5)), pairs_per_reference=7)["train"]
    pairs = {frozenset((item.a, item.b)) for item in items if item.reference == "a.png"}
    assert pairs == {frozenset((item.a, item.b)) for item in alone}


def test_references_decide_the_split():
    images = [image for name in "abcdefgh" for image in rated(10, 50, 90, reference=f"{name}.png")]
    splits = same_reference(images, val=0.25, test=0.25)
    references = {split: {item.reference for item in items} for split, items in splits.items()}
    assert {split: len(names) for split, names in references.items()} == {"train": 4, "val": 2, "test": 2}
    assert set.union(*references.values()) == {f"{name}.png" for name in "abcdefgh"}
    assert all(all(item.single_word) for split in ("val", "test") for item in splits[split])


@pytest.mark.parametrize("count", [10, 2500])
def test_drawn_pairs_are_distinct_and_as_many_as_asked_for(count):
    rng = np.random.default_rng(1)
    images = rated(*rng.uniform(0, 90, 2000).tolist())
    pairs = rated_pairs.draw(images, 30, count, rng)
    assert len({frozenset((a.path, b.path)) for a, b in pairs}) == len(pairs) == count
    assert min(abs(a.score - b.score) for a, b in pairs) >= 30


def test_drawing_ends_where_there_are_no_more_pairs():
    images = rated(*[0.0] * 1998, 50.0, 50.0)
    assert 1000 < len(rated_pairs.draw(images, 30, 10_000, np.random.default_rng(0))) <= 2 * 1998
    assert rated_pairs.draw(rated(*[1.0] * 2000), 30, 10, np.random.default_rng(0)) == []


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="no two of 2 rated images of MADE can be compared: .* differ by 10; lower"):
        same_reference(rated(1, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0}, "margin is 0; give the least difference"),
        ({"pairs_per_reference": 0}, "pairs_per_reference is 0; give a number above 0"),
        ({"val": 2}, "val is 2, test 0.0; give shares"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        same_reference(rated(10, 90), **changes)


@pytest.fixture
def kadid_copy(all_layouts, tmp_path):
    return all_layouts["kadid"].make(tmp_path / "raw")


def kadid_part(raw, seed=0):
    (part,) = kadid.parts(raw, seed, margin=0.1, pairs_per_reference=100, val=0.0, test=0.0)
    return part


def test_a_record_depends_on_its_number_alone_and_travels_to_other_processes(kadid_copy):
    part = kadid_part(kadid_copy)
    make, items = pickle.loads(pickle.dumps((part.make, part.items)))
    assert repr(items) == repr(part.items)
    assert make(3, items[3]) == part.make(3, part.items[3])
    assert make(4, items[3]).samples != make(3, items[3]).samples
    record = make(3, items[3])
    assert record.key == f"000003-{items[3].reference.rsplit('/')[-1][:-4]}"
    assert record.reference == f"KADID-10k/{items[3].reference.rsplit('/')[-1].lower()}"
    assert kadid_part(kadid_copy, seed=1).items != part.items


def test_large_photos_are_scaled_down(tmp_path):
    for name, size in (("a.jpg", (300, 200)), ("b.jpg", (50, 60))):
        Image.new("RGB", size, (9, 99, 199)).save(tmp_path / name)
    item = rated_pairs.Comparison("MADE", "", "a.jpg", "b.jpg", Slot.A, (True,))
    make = partial(rated_pairs.compare, tmp_path, 0)
    assert {slot: image.size for slot, image in make(100, 0, item).images.items()} == {"a": (100, 67), "b": (50, 60)}
    whole = make(None, 0, item)
    assert whole.images[Slot.A] == (tmp_path / "a.jpg").read_bytes()
    assert (whole.key, whole.reference, len(whole.samples)) == ("000000", "", 1)


def jpeg_bytes():
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), "cannot be decoded"),
        (lambda path: path.write_bytes(jpeg_bytes()), "holds a JPEG, not what its name says"),
        (lambda path: Image.new("RGB", (1, 1)).save(path), "has 1x1 px"),
        (lambda path: Image.new("RGB", (30_000, 8)).save(path), "has 30000x8 px"),
    ],
)
def test_an_unfit_image_takes_its_pairs_only(kadid_copy, tmp_path, spoil, reason):
    spoil(kadid_copy / "kadid10k/images/I02_11_03.png")
    part, out = kadid_part(kadid_copy), tmp_path / "out"
    counts = build([part], out, seed=0, max_rejected=0.5)
    spoilt = [item for item in part.items if "I02_11_03" in item.a + item.b]
    assert counts == {"templated/train": 2 * (len(part.items) - len(spoilt))}
    lines = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert len(lines) == len(spoilt) > 0
    assert all(reason in line["reason"] for line in lines)
    with pytest.raises(TooManyRejected, match="records cannot be made, more than max_rejected=0.01"):
        build([part], tmp_path / "strict", seed=0)
