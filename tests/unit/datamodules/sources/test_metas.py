import json
import re

import numpy as np
import pytest
from PIL import Image

from datamodules.building import build as build_parts
from datamodules.held_out import is_held_out
from datamodules.parts import Rejected, refuse_overlap
from datamodules.sources import metas
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Distortion, Slot, Task, Truth

SINGLE_WORD = " Answer the question using a single word or phrase."
LONG = "Image A shows moderate blur while Image B shows severe noise. " * 4


def said(question, answer):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


@pytest.fixture
def root(tmp_path):
    """A data root in the released layout: two pairs, both with and without reference, ..."""
    root = tmp_path / "data"
    for number, name in enumerate(("ref0", "a0", "b0", "ref1", "a1", "b1", "ref2", "a2", "b2", "coco")):
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    def pair(number, reference=True):
        place = "images/{}" + f"{number}.png"
        return {
            "image_ref": place.format("ref") if reference else None,
            "image_A": place.format("a"),
            "image_B": place.format("b"),
            "task_type": "quality_compare" if reference else "quality_compare_noref",
            "A_better_B": number == 0,
            "conversations": said("Which is better?" + SINGLE_WORD, "Image A" if number == 0 else "Image B"),
        }

    write(root, "BAPPS/metas/train_refAB_mix_bapps.json", [pair(0), pair(1)])
    write(root, "BAPPS/metas/train_AB_mix_bapps.json", [pair(1, False), pair(0, False)])
    detailed = {**pair(0), "conversations": said("Compare.", LONG)}
    write(root, "BAPPS/metas/train_refAB_detail_mbapps.json", [detailed])
    content = {
        "task_type": "description",
        "image": "images/coco.png",
        "conversations": said("<image>\nWhat is there?", "A boat.") + said("And?", "A lake."),
    }
    write(root, "DetailDescriptionLAMM/metas/detailed_description.json", [content])
    form = {
        "id": "img.2/x",
        "image_ref": "images/ref2.png",
        "image_A": "images/a2.png",
        "image_B": None,
        "query": "Assess it.",
        "answer": "Severe noise.",
        "texture": {"texture_type": "Plants/Foliage", "texture_damage": "Mild"},
        "distortion": {
            "bright": "Undistorted", "color": "Mild", "noise": "Severe", "artifact": "Undistorted",
            "blur": "Mild",
        },
        "overall": "Severe",
    }  # fmt: skip
    write(root, "BAPPS/metas/test_refA_detail_mbapps.json", [form])
    rating = {**pair(2), "id": "2", "score": 0.25, "query": "Which?" + SINGLE_WORD, "answer": "Image B"}
    write(
        root,
        "BAPPS/metas/test_refAB_rating.json",
        [{k: v for k, v in rating.items() if k not in ("conversations", "task_type")}],
    )
    return root


def write(root, name, objects):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(objects))
    return path


def records(root, **options):
    """`source/split` -> its records."""
    return {
        f"{part.source}/{part.split}": [part.make(number, item) for number, item in enumerate(part.items)]
        for part in metas.parts(root, seed=0, held_out=options.get("held_out", 0.0))
    }


def test_files_are_sorted_into_sources_and_splits(root):
    found = records(root)
    assert {place: len(part) for place, part in found.items()} == {
        "templated/train": 2, "templated/test": 1, "detailed/train": 1, "detailed/test": 1,
        "external/train": 1,
    }  # fmt: skip


def test_one_record_holds_the_samples_with_and_without_reference(root):
    second, first = records(root)["templated/train"]
    assert set(first.images) == set(Slot) and first.reference == "images/ref0.png"
    assert [sample.slots for sample in first.samples] == [(Slot.A, Slot.B), tuple(Slot)]
    assert {sample.task for sample in first.samples} == {Task.COMPARISON}
    assert [sample.truth for sample in second.samples] == [Truth(better=Slot.B)] * 2
    assert first.samples[0].dialogue[0].question.endswith(SINGLE_WORD)
    assert first.images[Slot.A] == (root / "images/a0.png").read_bytes()


def test_detailed_pairs_are_reasoning(root):
    (record,) = records(root)["detailed/train"]
    assert record.samples[0].task is Task.REASONING
    assert record.samples[0].dialogue[0].answer == LONG


def test_content_loses_the_image_marker_and_keeps_all_turns(root):
    (record,) = records(root)["external/train"]
    (sample,) = record.samples
    assert (sample.task, sample.slots) == (Task.CONTENT, (Slot.A,))
    assert [(turn.question, turn.answer) for turn in sample.dialogue] == [
        ("What is there?", "A boat."), ("And?", "A lake."),
    ]  # fmt: skip


def test_test_objects_tell_their_task_by_their_images_and_carry_the_form(root):
    (record,) = records(root)["detailed/test"]
    (sample,) = record.samples
    assert record.key == "000000-img-2-x"
    assert (sample.task, sample.slots) == (Task.DESCRIPTION, (Slot.REFERENCE, Slot.A))
    assert sample.truth.questionnaires[Slot.A] == Questionnaire(
        brightness=Level.UNDISTORTED, color=Level.MILD, noise=Level.SEVERE, artifacts=Level.UNDISTORTED,
        blur=Level.MILD, overall=Overall.SEVERE, texture="Plants/Foliage", texture_damage=Level.MILD,
    )  # fmt: skip
    (rating,) = records(root)["templated/test"]
    assert rating.samples[0].truth.better is Slot.B
    assert rating.samples[0].dialogue[0].answer == "Image B"


def test_known_distortions_of_dq495k(root):
    single = {
        "image_ref": None, "image_A": "images/a2.png", "image_B": None, "task_type": "quality_single_A_noref",
        "conversations": said("Which distortion?", "Noise"),
        "distortion_class": "noise", "distortion_name": "noise_speckle", "severity": 4,
    }  # fmt: skip
    clean = {
        **single,
        "image_A": "images/b2.png",
        "distortion_class": None,
        "distortion_name": None,
        "severity": 0,
    }
    several = {
        **single, "conversations": said("Assess.", LONG),
        "distortion_classes": ["blur", "darken"],
        "distortion_names": ["blur_lens", "brightness_darken_gamma_RGB"], "severities": [1, 3],
    }  # fmt: skip
    pair = {
        **single, "image_B": "images/b2.png", "task_type": "quality_compare_noref",
        "conversations": said("Compare.", LONG),
        "distortions_A": {"distortion_class": "pixelate", "distortion_name": "pixelate", "severity": 2},
        "distortions_B": {"distortion_classes": None, "distortion_names": None, "severities": 0},
    }  # fmt: skip
    for path in root.rglob("*.json"):
        path.unlink()
    write(root, "KADIS700K/metas_combine/A_sd_md/train_A_mix_sd80k_md27k.json", [single, clean])
    write(root, "KADIS700K/other/train.json", [{"not": "ours"}])
    write(root, "KADIS700K/A_md_detail/metas/train_A_md_detail_8k.json", [several])
    write(root, "KADIS700K/AB_sd_detail/metas/train_AB_sd_detail_20k.json", [pair])
    found = records(root)
    one, none = found["templated/train"]
    assert one.samples[0].task is Task.IDENTIFICATION
    assert one.samples[0].truth.distortions == {Slot.A: (Distortion("noise", "noise_speckle", 4),)}
    assert none.samples[0].truth.distortions == {Slot.A: ()}
    by_task = {record.samples[0].task: record.samples[0].truth for record in found["detailed/train"]}
    assert by_task[Task.ASSESSMENT].distortions[Slot.A] == (
        Distortion("blur", "blur_lens", 1), Distortion("darken", "brightness_darken_gamma_RGB", 3),
    )  # fmt: skip
    assert by_task[Task.REASONING].distortions == {
        Slot.A: (Distortion("pixelate", "pixelate", 2),),
        Slot.B: (),
    }


def test_long_answers_make_a_file_detailed_where_its_name_tells_nothing(root):
    for path in root.rglob("*.json"):
        path.unlink()
    pair = {
        "image_ref": None,
        "image_A": "images/a0.png",
        "image_B": "images/b0.png",
        "task_type": "quality_compare_noref",
    }
    write(root, "long.json", [{**pair, "conversations": said("Compare.", LONG)}])
    write(root, "short.json", [{**pair, "conversations": said("Compare.", "Image A")}])
    assert sorted(records(root)) == ["detailed/train", "templated/train"]


def test_held_out_references_go_to_val_with_all_their_samples(root):
    photos = [f"photo{n}.png" for n in range(400)]
    samples = [metas.MetaSample("", "", {Slot.A: photo}, photo, sample=None) for photo in photos for _ in range(2)]
    held = [is_held_out(metas._origin(sample), 0, 0.1) for sample in samples]
    assert held[::2] == held[1::2] and 20 < sum(held[::2]) < 60
    assert held != [is_held_out(metas._origin(sample), 1, 0.1) for sample in samples]
    found = records(root, held_out=0.999)
    assert len(found["templated/val"]) == 2 and "templated/train" not in found


def spoil(root, name, number, **changes):
    path = root / "BAPPS/metas" / name
    objects = json.loads(path.read_text())
    for field, value in changes.items():
        if value is None:
            del objects[number][field]
        else:
            objects[number][field] = value
    path.write_text(json.dumps(objects))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_type": None}, "field 'task_type' is missing"),
        ({"task_type": "quality"}, "field 'task_type': task 'quality' unknown; choose from quality_compare"),
        ({"image_A": None}, "field 'image_A' is missing; its task 'quality_compare' needs that image"),
        ({"A_better_B": "yes"}, "field 'A_better_B' is 'yes'; give true or false"),
        ({"conversations": []}, "field 'conversations' must list human and gpt in turn"),
        ({"conversations": said("Q", "A")[::-1]}, "field 'conversations' has no 'human' in its place"),
        ({"conversations": said("Q", 3)}, "field 'value' must be text, got int"),
    ],
)
def test_errors_name_file_record_and_field(root, changes, message):
    spoil(root, "train_refAB_mix_bapps.json", 1, **changes)
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"train_refAB_mix_bapps\.json' record 1.*: " + message
    ) as error:
        metas.parts(root, seed=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_B": "images/none.png"}, "field 'image_B': image '.*images/none.png' not found"),
        ({"image_ref": "../secret.png"}, "field 'image_ref': '../secret.png' leaves the data root"),
        ({"image_ref": "/etc/passwd"}, "field 'image_ref': '/etc/passwd' leaves the data root"),
    ],
)
def test_an_object_without_its_images_is_set_apart(root, changes, message):
    spoil(root, "train_refAB_mix_bapps.json", 1, **changes)
    parts = {f"{part.source}/{part.split}": part for part in metas.parts(root, seed=0, held_out=0.0)}
    (rejected,) = (item for item in parts["templated/train"].items if isinstance(item, Rejected))
    assert re.search(message, f"{rejected.name}: {rejected.reason}")
    assert "train_refAB_mix_bapps.json' record 1" in rejected.name


def test_form_errors_name_the_field(root):
    spoil(root, "test_refA_detail_mbapps.json", 0, overall="Awful")
    with pytest.raises(
        ValueError, match="record 0: field 'overall' is 'Awful'; choose Nearly undistorted, Mild, Severe"
    ):
        metas.parts(root, seed=0)
    spoil(root, "test_refA_detail_mbapps.json", 0, overall="Mild", answer=None)
    with pytest.raises(ValueError, match="record 0: field 'answer' is missing"):
        metas.parts(root, seed=0)


def test_unfit_files_and_roots_are_named(root, tmp_path):
    path = write(root, "BAPPS/metas/train_x.json", [])
    with pytest.raises(ValueError, match="train_x.json' holds no array of records"):
        metas.parts(root, seed=0)
    path.write_text("[{")
    with pytest.raises(ValueError, match="train_x.json' is not JSON: .*; copy it again"):
        metas.parts(root, seed=0)
    with pytest.raises(FileNotFoundError, match="nowhere' is not a folder; give the data root"):
        metas.parts(tmp_path / "nowhere", seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty' holds no metas"):
        metas.parts(tmp_path / "empty", seed=0)


def build(root, out):
    return build_parts(metas.parts(root, seed=0, held_out=0.0), out, seed=0, max_rejected=0.0)


def test_built_shards_hold_all_samples_and_no_leak(root, tmp_path):
    counts = build(root, tmp_path / "out")
    assert counts == {
        "detailed/train": 1, "external/train": 1, "templated/train": 4,
        "detailed/test": 1, "templated/test": 1,
    }  # fmt: skip
    refuse_overlap(tmp_path / "out")


@pytest.mark.parametrize("by_name", [True, False])
def test_reference_in_train_and_test_is_refused_and_named(root, tmp_path, by_name):
    if by_name:
        spoil(root, "test_refAB_rating.json", 0, image_ref="images/ref1.png")
    else:
        data = (root / "images/ref1.png").read_bytes()
        (root / "images/ref2.png").write_bytes(data)
    with pytest.raises(ValueError, match="reference images are in both templated/train and .*/test: ") as error:
        build(root, tmp_path / "out")
    assert ("'images/ref1.png'" in str(error.value)) == by_name
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "nothing is left"


def test_unreadable_image_names_file_record_and_image(root, tmp_path):
    (root / "images/b1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"train_AB_mix_bapps\.json' record 0: image .*b1\.png' cannot be read"):
        build(root, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.rejected.jsonl"]


def test_truncated_image_names_file_record_and_image(root, tmp_path):
    (root / "images/b1.png").write_bytes((root / "images/b1.png").read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"1 of \d+ records .*'000000' b' cannot be decoded"):
        build(root, tmp_path / "out")
