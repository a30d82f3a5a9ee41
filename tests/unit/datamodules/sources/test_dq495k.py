"""DQ-495K's recipe on a folder of photos: its proportions, its rules, and texts that are true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.building import build
from datamodules.distortions import detectable_without_reference, severity_word
from datamodules.distortions.compose import MULTI_SEVERITIES, makes_sense
from datamodules.indexed import IndexedShards
from datamodules.parts import Rejected
from datamodules.shards import SPLITS
from datamodules.sources.dq495k import KINDS, is_better, parts
from datamodules.sources.photos import PHOTOS, photo_path
from datamodules.sources.recipes import Applied
from datamodules.writers.rules import NOUNS
from depictqa.parsing import parse_description, parse_preference, parse_reasoning
from depictqa.sample import Sample, Slot, Task

SHARES = {"identification_single": 112, "identification_double": 112, "rating_single": 108, "rating_double": 108}
SHARES |= {"assessment_single": 20, "assessment_double": 8, "reasoning_single": 20, "reasoning_double": 8}
SIZE = {"width": 96, "height": 72}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Colour photos of the installed packages, under neutral names."""
    folder = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(photo for photo in PHOTOS if not photo.tints):
        image = Image.open(photo_path(photo)).convert("RGB")
        image.thumbnail((240, 240))
        image.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def samples(photos, tmp_path_factory) -> dict[str, list[Sample]]:
    out = tmp_path_factory.mktemp("dq") / "out"
    build(parts(photos, 0, num_records=400, shares=SHARES, **SIZE), out, seed=0)
    places = [(path.parent.parent.name, path.parent.name) for path in out.glob("*/*/manifest.json")]
    return {f"{source}/{split}": list(IndexedShards(out / source, split)) for source, split in places}


def test_records_are_in_proportion(photos):
    found = {(part.source, part.split): len(part.items) for part in parts(photos, 0, 4960, SHARES, **SIZE)}
    assert found["templated", "train"] == round(4400 * 0.9) and found["detailed", "train"] == round(560 * 0.9)
    assert found["templated", "val"] + found["detailed", "val"] == 248
    one = next(part for part in parts(photos, 0, 4960, SHARES, **SIZE) if part.source == "templated")
    kinds = Counter((item.task, len(item.applied[Slot.A])) for item in one.items)
    assert kinds[Task.IDENTIFICATION, 0] == pytest.approx(0.05 * 2016, rel=0.35), "clean images"
    clean = kinds[Task.IDENTIFICATION, 0]
    assert kinds[Task.IDENTIFICATION, 1] + kinds[Task.IDENTIFICATION, 2] + clean == 2 * round(4464 * 112 / 496)


def test_all_tasks_with_and_without_the_reference(samples):
    assert samples.keys() == {f"{source}/{split}" for source in ("templated", "detailed") for split in SPLITS}
    trained_on = samples["templated/train"] + samples["detailed/train"]
    asked = Counter((sample.task, sample.full_reference) for sample in trained_on)
    assert asked.keys() == {
        (task, full)
        for task in (Task.IDENTIFICATION, Task.RATING, Task.ASSESSMENT, Task.REASONING)
        for full in (True, False)
    }
    assert asked[Task.RATING, True] == asked[Task.RATING, False]
    assert asked[Task.IDENTIFICATION, True] > asked[Task.IDENTIFICATION, False]


def test_what_cannot_be_seen_without_the_reference_is_not_asked(samples):
    for sample in (sample for found in samples.values() for sample in found):
        if not sample.full_reference and sample.task is not Task.RATING:
            found = [d for distortions in sample.truth.distortions.values() for d in distortions]
            assert all(detectable_without_reference(d.name, d.severity) for d in found)


def test_two_distortions_are_such_that_both_are_seen(samples):
    pairs = [d for found in samples.values() for s in found for d in s.truth.distortions.values() if len(d) == 2]
    assert len(pairs) > 60
    for first, second in pairs:
        assert makes_sense(first.function, second.function)
        assert {first.severity, second.severity} <= set(MULTI_SEVERITIES)


def test_texts_are_true(samples):
    for sample in (sample for found in samples.values() for sample in found):
        answer, truth = sample.dialogue[0].answer, sample.truth
        if sample.task is Task.IDENTIFICATION:
            words = [f"{severity_word(d.severity)} {NOUNS[d.name]}" for d in truth.distortions[Slot.A]]
            assert answer.lower() == (" and ".join(words) or "none")
        elif sample.task is Task.RATING:
            assert parse_preference(answer).better is truth.better
        elif sample.task is Task.ASSESSMENT:
            assert parse_description(answer).classes == {d.name for d in truth.distortions[Slot.A]}, answer
        else:
            parsed = parse_reasoning(answer)
            assert parsed.preference.better is truth.better, answer
            for slot, found in truth.distortions.items():
                assert parsed.fields(slot).classes == {d.name for d in found}, answer


def test_the_better_image_is_weaker_in_every_respect(samples):
    compared = [s for found in samples.values() for s in found if s.task.compares]
    assert 0.4 < np.mean([sample.truth.better is Slot.A for sample in compared]) < 0.6
    for sample in compared:
        one, other = ([d.severity for d in sample.truth.distortions[slot]] for slot in (Slot.A, Slot.B))
        better, worse = (one, other) if sample.truth.better is Slot.A else (other, one)
        assert sum(better) < sum(worse) and max(better, default=0) <= max(worse)


def test_better_by_severities():
    def image(*severities):
        return [Applied("blur", severity) for severity in severities]

    assert is_better(image(1), image(3), margin=2) and not is_better(image(2), image(3), margin=2)
    assert is_better(image(), image(2), margin=1) and is_better(image(3), image(3, 1), margin=1)
    assert not is_better(image(4, 1), image(3, 3), margin=1), "stronger in one, weaker in the other"
    assert not is_better(image(1, 1), image(3), margin=1), "two against one"


def test_photos_that_do_not_fit_are_set_apart(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).symlink_to(path)
    Image.new("RGB", (50, 50)).save(tmp_path / "x.png")
    (tmp_path / "y.png").write_bytes((photos / "0.png").read_bytes()[:2000])
    (tmp_path / "z.png").write_bytes(b"")
    rejected = [item for part in parts(tmp_path, 0, 500, **SIZE) for item in part.items if isinstance(item, Rejected)]
    assert sorted(Path(item.name).name for item in rejected) == ["x.png", "y.png", "z.png"]
    with pytest.raises(ValueError, match="leaves no photo for (train|val|test) .photo .* px; give at least 900x72"):
        parts(photos, 0, 50, width=900, height=72)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": {"rating": 1}}, "kind of record 'rating' unknown; choose identification_single"),
        ({"shares": {"rating_single": -1}}, "share of 'rating_single' is -1"),
        ({"shares": dict.fromkeys(KINDS, 0)}, "all shares are 0"),
        ({"num_records": 0}, "num_records=0"),
        ({"val": 0.5, "test": 0.5}, "val=0.5 test=0.5"),
        ({"width": 20}, "width and height are 20x240"),
    ],
)
def test_impossible_options_are_named(photos, options, message):
    with pytest.raises(ValueError, match=message):
        parts(photos, 0, **options)


def test_a_small_build_has_every_split_and_all_its_records(photos):
    found = {(part.source, part.split): len(part.items) for part in parts(photos, 0, 200, SHARES, **SIZE)}
    assert sum(found.values()) == 200
    assert found.keys() == {(source, split) for source in ("templated", "detailed") for split in SPLITS}


def test_a_picture_under_two_names_is_refused(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "copy.png").write_bytes((tmp_path / "1.png").read_bytes())
    with pytest.raises(ValueError, match="1.png' and '.*copy.png' are the same picture; remove one"):
        parts(tmp_path, 0, 50, **SIZE)


def test_a_photo_that_cannot_be_read_is_told_in_the_same_words_each_time(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "z.png").write_bytes(b"")
    first, second = ([repr(part.items) for part in parts(tmp_path, 0, 50, **SIZE)] for _ in range(2))
    assert first == second, "a build that was killed must know itself again"
