import io
import json

import numpy as np
import pytest
from PIL import Image

from datamodules.building import build
from datamodules.indexed import IndexedShards
from datamodules.parts import Rejected
from datamodules.sources import coco
from datamodules.writers.pools import CONTENT_QUESTIONS
from depictqa.sample import Slot, Task


def photo(path, *seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG")


def write(raw, name, ids, pattern="{:012d}.jpg"):
    """COCO's captions of one set, as published, and its photos."""
    images = [{"license": 3, "file_name": pattern.format(i), "height": 12, "width": 16, "id": i} for i in ids]
    captions = ["A cat.", "A black cat on a\n red mat.", "  ", "Cat resting.", "A dark cat upon a mat."]
    annotations = [
        {"image_id": i, "id": 10 * i + n, "caption": caption} for n, caption in enumerate(captions) for i in ids
    ]
    (raw / "annotations").mkdir(parents=True, exist_ok=True)
    value = {"info": {"year": 2017}, "images": images, "licenses": [], "annotations": annotations}
    (raw / f"annotations/captions_{name}.json").write_text(json.dumps(value))
    for i in ids:
        photo(raw / name / pattern.format(i), i)


@pytest.fixture
def raw(tmp_path):
    raw = tmp_path / "raw"
    write(raw, "train2017", range(9, 21))
    write(raw, "val2017", (139, 285))
    return raw


def parts(raw, **options):
    return {part.split: part for part in coco.parts(raw, seed=0, **{"held_out": 0.0, **options})}


def spoil(raw, field, number, **changes):
    path = raw / "annotations/captions_train2017.json"
    value = json.loads(path.read_text())
    value[field][number] = {**value[field][number], **changes}
    path.write_text(json.dumps(value))


def test_a_photo_is_asked_about_once_and_answered_by_its_longest_caption(raw):
    found = parts(raw)
    assert {split: len(part.items) for split, part in found.items()} == {"train": 12, "test": 2}
    record = found["train"].make(0, found["train"].items[0])
    (sample,) = record.samples
    assert (sample.task, sample.slots) == (Task.CONTENT, (Slot.A,))
    assert sample.dialogue[0].answer == "A black cat on a red mat."
    assert sample.dialogue[0].question in CONTENT_QUESTIONS
    assert (record.key, record.reference) == ("000000-000000000009", "000000000009.jpg")


def test_questions_differ_and_depend_on_the_number_alone(raw):
    part = parts(raw)["train"]
    questions = [part.make(n, part.items[0]).samples[0].dialogue[0].question for n in range(12)]
    assert len(set(questions)) > 3
    assert questions == [part.make(n, part.items[1]).samples[0].dialogue[0].question for n in range(12)]


def test_the_names_of_2014_are_read_and_mean_the_same_photo(tmp_path):
    write(tmp_path, "train2014", (9, 25), "COCO_train2014_{:012d}.jpg")
    with pytest.raises(FileNotFoundError, match=r"captions_val2014.json' is missing; get it from MS-COCO"):
        parts(tmp_path, year=2014)
    part = parts(tmp_path, year=2014, sets=["train"])["train"]
    assert part.make(0, part.items[0]).reference == "000000000009.jpg"
    assert coco.photo_name("a/COCO_val2014_000000000042.jpg") == "000000000042.jpg"
    assert coco.photo_name("a/cat.jpg") == "a/cat.jpg"


def test_held_out_photos_become_val(raw):
    found = parts(raw, held_out=0.4)
    train, val = ({item.image for item in found[split].items} for split in ("train", "val"))
    assert len(train) + len(val) == 12 and val and not train & val


def test_what_has_no_counterpart_is_set_apart(raw):
    spoil(raw, "images", 0, id="nine")
    spoil(raw, "annotations", 1, image_id=77)
    spoil(raw, "annotations", 2, caption=None)
    photo(raw / "train2017/000000000500.jpg", 1)
    rejected = {item.name: item.reason for item in parts(raw)["train"].items if isinstance(item, Rejected)}
    path = f"'{raw}/annotations/captions_train2017.json'"
    assert rejected[f"{path} images[0]"] == "field 'id' is 'nine'; a whole number stands there"
    assert rejected[f"{path} annotations[1]"] == "field 'image_id' is 77, which is not among the file's images"
    assert rejected[f"{path} annotations[2]"] == "field 'caption' must be text, got NoneType"
    assert rejected["train2017/000000000500.jpg"] == f"is not among the images of {path}"
    assert rejected["train2017/000000000009.jpg"] == f"is not among the images of {path}"
    (raw / "annotations/captions_train2017.json").write_text(
        json.dumps({"images": [{"id": 10, "file_name": "000000000010.jpg"}], "annotations": []})
    )
    (first, *_) = parts(raw)["train"].items
    assert first == Rejected("train2017/000000000010.jpg", f"has no caption in {path}")


def test_unfit_files_and_options_are_named(raw, tmp_path):
    for options, message in (
        ({"year": 2015}, "COCO captions of 2015 are unknown; choose from 2014, 2017"),
        ({"sets": ["test"]}, "COCO sets test unknown; choose from train, val"),
        ({"held_out": 1}, "held_out is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            parts(raw, **options)
    path = raw / "annotations/captions_train2017.json"
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match="captions_train2017.json' has no list 'annotations'"):
        parts(raw)
    path.write_text("[")
    with pytest.raises(ValueError, match="captions_train2017.json' is not JSON"):
        parts(raw)
    write(tmp_path / "other", "train2017", ())
    with pytest.raises(FileNotFoundError, match=r"other/train2017' is missing; get it from MS-COCO"):
        parts(tmp_path / "other")


def test_built_shards_hold_the_decoded_photos(raw, tmp_path):
    (raw / "train2017/000000000010.jpg").unlink()
    (raw / "train2017/000000000011.jpg").write_bytes(b"no photo")
    counts = build(coco.parts(raw, seed=0, held_out=0.0), tmp_path / "out", seed=0, max_rejected=0.2)
    assert counts == {"external/train": 10, "external/test": 2}
    lines = (tmp_path / "out/rejected.jsonl").read_text()
    assert "000000000010.jpg' not found" in lines and "000000000011.jpg' cannot be read" in lines
    (sample, *_) = IndexedShards(tmp_path / "out/external", "train")
    with Image.open(io.BytesIO((raw / "train2017/000000000009.jpg").read_bytes())) as image:
        assert np.array_equal(np.asarray(sample.images[Slot.A]), np.asarray(image)), "a JPEG is kept as it decodes"
