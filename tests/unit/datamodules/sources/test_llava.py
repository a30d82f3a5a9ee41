import json

import numpy as np
import pytest
from PIL import Image

from datamodules.building import build
from datamodules.indexed import IndexedShards
from datamodules.parts import Rejected
from datamodules.sources import llava
from depictqa.sample import Slot, Task, Turn


def photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")


def described(image, question="Describe the photo.\n<image>", answer="A boat lies on a lake."):
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": image[-16:-4], "image": image, "conversations": said}


def write(path, objects):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(objects))


@pytest.fixture
def raw(tmp_path):
    """LLaVA's layout: bare COCO names."""
    raw = tmp_path / "raw"
    names = [f"{n:012d}.jpg" for n in range(20)]
    for name in names:
        photo(raw / "train2017" / name)
    write(raw / "detail_23k.json", [described(name) for name in names])
    write(raw / "conversation_58k.json", [described(names[0])])
    return raw


def parts(raw, **options):
    return {part.split: part for part in llava.parts(raw, seed=0, **{"held_out": 0.0, **options})}


def spoil(raw, number, **changes):
    path = raw / "detail_23k.json"
    objects = json.loads(path.read_text())
    objects[number] |= changes
    write(path, objects)


def test_descriptions_become_content_records_without_the_marker(raw):
    (part,) = parts(raw).values()
    assert (part.source, part.split, len(part.items)) == ("external", "train", 20)
    record = part.make(3, part.items[3])
    (sample,) = record.samples
    assert (sample.task, sample.slots) == (Task.CONTENT, (Slot.A,))
    assert sample.dialogue == (Turn("Describe the photo.", "A boat lies on a lake."),)
    assert (record.key, record.reference) == ("000003-000000000003", "000000000003.jpg")
    assert record.images[Slot.A] == (raw / "train2017/000000000003.jpg").read_bytes()


def test_lamms_layout_is_read(tmp_path):
    photo(tmp_path / "coco_images/000000369995.jpg")
    objects = [{**described("coco_images/000000369995.jpg"), "task_type": "detailed_description"}]
    write(tmp_path / "meta_file/detailed_description_49k.json", objects)
    write(tmp_path / "meta_file/daily_dialogue_49k.json", objects)
    (item,) = parts(tmp_path)["train"].items
    assert (item.image, item.photo) == ("coco_images/000000369995.jpg", "000000369995.jpg")


def test_photos_of_2014_are_found_by_their_number(raw):
    photo(raw / "train2014/COCO_train2014_000000000077.jpg")
    spoil(raw, 0, image="000000000077.jpg")
    assert parts(raw)["train"].items[0].image == "train2014/COCO_train2014_000000000077.jpg"


def test_dialogues_about_one_photo_share_its_record(raw):
    spoil(raw, 1, image="000000000000.jpg")
    first = parts(raw)["train"].items[0]
    assert len(first.dialogues) == 2 and len(parts(raw)["train"].items) == 19
    assert len(parts(raw)["train"].make(0, first).samples) == 2


def test_held_out_photos_become_val(raw):
    found = parts(raw, held_out=0.3)
    train, val = ({item.image for item in found[split].items} for split in ("train", "val"))
    assert len(train) + len(val) == 20 and val and not train & val


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "000000099999.jpg"}, "image '000000099999.jpg' not found in ., images, train2017"),
        ({"image": "../secret.jpg"}, "'../secret.jpg' leaves the data root"),
        ({"image": None}, "field 'image' must be text, got NoneType"),
        ({"conversations": []}, "field 'conversations' must list human and gpt in turn"),
    ],
)
def test_an_unfit_object_is_set_apart(raw, changes, message):
    spoil(raw, 4, **changes)
    (rejected,) = (item for item in parts(raw)["train"].items if isinstance(item, Rejected))
    assert rejected.name == f"'{raw}/detail_23k.json' record 4" and rejected.reason.startswith(message)


def test_unfit_files_and_roots_are_named(raw, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty' holds no JSON; get it from LLaVA"):
        parts(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"other.json' is missing; get it from .*source.file"):
        parts(raw, file="other.json")
    assert len(parts(raw, file="conversation_58k.json")["train"].items) == 1
    (raw / "detail_23k.json").rename(raw / "complex_reasoning_77k.json")
    with pytest.raises(ValueError, match="2 JSON files: complex_reasoning_77k.json, conversation_58k.json; say which"):
        parts(raw)
    write(raw / "detail_23k.json", {})
    with pytest.raises(ValueError, match="detail_23k.json' holds no array of records"):
        parts(raw)
    (raw / "detail_23k.json").write_text("[{")
    with pytest.raises(ValueError, match="detail_23k.json' is not JSON"):
        parts(raw)
    with pytest.raises(ValueError, match="held_out is -1"):
        parts(raw, held_out=-1)


def test_built_shards_are_read_back(raw, tmp_path):
    (raw / "train2017/000000000005.jpg").write_bytes(b"")
    counts = build(llava.parts(raw, seed=0, held_out=0.2), tmp_path / "out", seed=0, max_rejected=0.1)
    assert sum(counts.values()) == 19 and counts.keys() == {"external/train", "external/val"}
    assert "000000000005.jpg' cannot be read" in (tmp_path / "out/rejected.jsonl").read_text()
    sample = IndexedShards(tmp_path / "out/external", "val")[0]
    assert sample.images[Slot.A].size == (16, 12) and sample.dialogue[0].answer == "A boat lies on a lake."
