"""The embedded data: the same bytes for the same settings, made once, never in the place of something else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from datamodules.indexed import IndexedShards, read_manifest
from datamodules.shards import SPLITS
from datamodules.sources.photos import PHOTOS
from datamodules.sources.synthetic import SETTINGS, SOURCES, TOKENIZER, build
from depictqa.sample import Task

TINY = {
    "num_templated": 8,
    "num_identification": 6,
    "num_detailed": 8,
    "num_external": 4,
    "num_val": 4,
    "num_test": 4,
    "num_workers": 1,
    "seed": 3,
}


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("synthetic") / "tiny", **TINY)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of one's own, one of them with a caption."""
    folder = tmp_path_factory.mktemp("own")
    for number, color in enumerate([(200, 40, 40), (40, 60, 180), (60, 150, 60), (240, 240, 240)]):
        Image.new("RGB", (80, 60), color).save(folder / f"mine{number}.png")
        (folder / f"mine{number}.txt").write_text("My very own wall\n", encoding="utf-8")
    return folder


def test_numbers_and_tasks_are_those_asked_for(made: Path) -> None:
    records = {
        (source, split): read_manifest(made / source / split)["records"] for source in SOURCES for split in SPLITS
    }
    assert {source: records[source, "train"] for source in SOURCES} == {"templated": 14, "detailed": 8, "external": 4}
    assert all(records[source, split] == 4 for source in SOURCES for split in ("val", "test"))
    assert read_manifest(made / "templated" / "train")["tasks"]["comparison"] == 16
    assert set(read_manifest(made / "templated" / "test")["tasks"]) == {"comparison"}
    assert set(read_manifest(made / "detailed" / "train")["tasks"]) == {"description", "reasoning"}
    assert set(read_manifest(made / "external" / "train")["tasks"]) == {"content"}


def test_every_sample_reads_back(made: Path) -> None:
    for source in SOURCES:
        for split in SPLITS:
            for sample in IndexedShards(made / source, split):
                assert sample.key.startswith(f"{source}/{split}")
                assert all(image.size == (40, 40) for image in sample.images.values())
                assert all(turn.question and turn.answer for turn in sample.dialogue)
                assert sample.task is not Task.CONTENT or source == "external"


def test_photos_of_the_splits_are_disjoint(made: Path) -> None:
    references = {
        split: {name for source in SOURCES for name in read_manifest(made / source / split)["references"]}
        for split in SPLITS
    }
    for split in SPLITS:
        names = {photo.name for photo in PHOTOS if photo.split == split}
        assert references[split] & {photo.name for photo in PHOTOS} == names
        assert not any(references[split] & references[other] for other in SPLITS if other != split)


def test_licences_are_stated(made: Path) -> None:
    for source in SOURCES:
        manifest = read_manifest(made / source / "test")
        assert manifest["seed"] == 3 and manifest["source"] == source
        assert all(photo.licence in manifest["licence"] for photo in PHOTOS if photo.split == "test")


def test_tokenizer_opens_with_auto_tokenizer(made: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(made / TOKENIZER)
    assert type(tokenizer).__name__.startswith("LlamaTokenizer")
    sample = IndexedShards(made / "detailed", "train")[0]
    ids = tokenizer(sample.dialogue[0].answer, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == sample.dialogue[0].answer
    last = [tokenizer(f"Image {name}", add_special_tokens=False)["input_ids"][-1] for name in "AB"]
    assert len(set(last)) == 2


def test_same_settings_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again", **TINY)
    assert len(hashes(made)) > 20
    assert hashes(again) == hashes(made)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]  # nothing beside it is left
    other = build(tmp_path / "other", **(TINY | {"seed": 4}))
    assert hashes(other) != hashes(made)


def test_number_of_workers_does_not_change_a_byte(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.building.SMALL", 1)  # processes even for these few
    assert hashes(build(tmp_path / "three", **(TINY | {"num_workers": 3}))) == hashes(made)


def test_complete_folder_is_left_as_it_is(made: Path) -> None:
    before = times(made)
    assert build(made, **TINY) == made
    assert times(made) == before


def test_other_settings_and_damage_make_it_anew(made: Path, tmp_path: Path) -> None:
    out = build(tmp_path / "data", **TINY)
    build(out, **(TINY | {"num_external": 5}))
    assert read_manifest(out / "external" / "train")["records"] == 5
    assert json.loads((out / SETTINGS).read_text())["num_external"] == 5
    (out / "detailed" / "val" / "manifest.json").unlink()
    build(out, **TINY)
    assert hashes(out) == hashes(made)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_empty_folder_is_filled_and_another_one_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("not a folder")
    for name in ("mine", "file"):
        with pytest.raises(ValueError) as error:
            build(tmp_path / name, **TINY)
        assert "holds other things than embedded data; give these another" in str(error.value)
        assert "\n" not in str(error.value)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]
    (tmp_path / "empty").mkdir()
    assert (build(tmp_path / "empty", **TINY) / SETTINGS).is_file()


def test_a_build_that_fails_leaves_nothing_and_the_old_data(made: Path, own: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in own.glob("*.png"):
        (photos / path.name).write_bytes(path.read_bytes()[:-40])  # cut short
    out = build(tmp_path / "data", **TINY)
    with pytest.raises(ValueError) as error:
        build(out, photos=photos, **TINY)
    assert "mine" in str(error.value) and "\n" not in str(error.value)
    assert hashes(out) == hashes(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "photos"]


def test_own_photos_are_used_with_their_captions(own: Path, tmp_path: Path) -> None:
    out = build(tmp_path / "mine", photos=own, **TINY)
    names = {split: read_manifest(out / "external" / split)["references"] for split in SPLITS}
    assert sorted(name for found in names.values() for name in found) == ["mine0", "mine1", "mine2", "mine3"]
    answers = [sample.dialogue[0].answer for sample in IndexedShards(out / "external", "train")]
    assert all(answer.startswith("My very own wall. ") for answer in answers)
    before = times(out)
    assert times(build(out, photos=own, **TINY)) == before
    (own / "mine0.txt").write_text("Another caption\n", encoding="utf-8")
    assert times(build(out, photos=own, **TINY)) != before  # the caption is part of what was asked for


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_template": 8}, "synthetic setting 'num_template' unknown; choose from seed, num_templated"),
        ({"num_val": 0}, "synthetic setting 'num_val' is 0; give a whole number from 1"),
        ({"seed": -1}, "synthetic setting 'seed' is -1; give a whole number from 0"),
        ({"num_test": 2.5}, "synthetic setting 'num_test' is 2.5"),
        ({"num_test": True}, "synthetic setting 'num_test' is True"),
        ({"crop_size": 16}, "synthetic setting 'crop_size' is 16; give at least 32"),
        ({"vocab_size": 100}, "vocabulary of 100 pieces is too small"),
    ],
)
def test_impossible_settings_are_errors_of_one_line(tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        build(tmp_path / "out", **(TINY | settings))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not any(tmp_path.iterdir())
