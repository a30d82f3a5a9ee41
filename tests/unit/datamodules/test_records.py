import pytest
from PIL import Image

from datamodules.records import Record, RecordSample, check_record, from_json, to_json, to_sample
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Distortion, Slot, Task, Truth, Turn

FULL = RecordSample(
    Task.COMPARISON,
    (Slot.REFERENCE, Slot.A, Slot.B),
    (Turn("Which is better?", "Image A."), Turn("Why?", "It is sharper.")),
    Truth(
        better=Slot.A,
        vote=0.25,
        distortions={Slot.B: (Distortion("blur", "gaussian_blur", 3), Distortion("noise", "speckle", 1))},
        questionnaires={
            Slot.A: Questionnaire(texture="Plants/Foliage", texture_damage=Level.MILD),
            Slot.B: Questionnaire(blur=Level.SEVERE, overall=Overall.SEVERE),
        },
    ),
)
PLAIN = RecordSample(Task.CONTENT, (Slot.A,), (Turn("What is shown?", "A boat."),))


def test_round_trip_keeps_everything():
    assert from_json(to_json((FULL, PLAIN)), "here") == (FULL, PLAIN)


def test_without_truths_only_the_truth_is_lost():
    (read,) = from_json(to_json((FULL,)), "here", truths=False)
    assert (read.task, read.slots, read.dialogue) == (FULL.task, FULL.slots, FULL.dialogue)
    assert read.truth == Truth()


def test_sample_has_images_in_prompt_order_and_a_key():
    images = {slot: Image.new("RGB", (8, 8)) for slot in (Slot.B, Slot.REFERENCE, Slot.A)}
    sample = to_sample(Record("000001", images, (PLAIN, FULL)), 1, "bapps")
    assert sample.key == "bapps/000001/1"
    assert list(sample.images) == [Slot.REFERENCE, Slot.A, Slot.B]
    assert sample.truth == FULL.truth
    assert list(to_sample(Record("000001", images, (PLAIN, FULL)), 0, "bapps").images) == [Slot.A]


def changed(path, value):
    """The JSON of FULL with the value at `path` replaced, or removed where `value` is None."""
    whole = to_json((FULL,))
    place = whole["samples"][0]
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["dialogue"], None, "field 'dialogue' is missing"),
        (["dialogue", 0, "answer"], None, "field 'answer' is missing"),
        (["dialogue", 0, "question"], 3, "field 'question' must be text, got int"),
        (["dialogue"], [], "field 'dialogue' is empty"),
        (["task"], "quality", "field 'task': task 'quality' unknown; choose description, comparison"),
        (["slots"], ["a", "c"], "field 'slots': slot 'c' unknown; choose reference, a, b"),
        (["slots"], ["a"], "task 'comparison' needs slots a and b, got a"),
        (["slots"], ["a", "b", "a"], "names a slot twice"),
        (["slots"], "ab", "field 'slots' must be a list, got str"),
        (["truth", "votes"], 0.5, "field 'votes' is unknown; the fields are better"),
        (["truth", "vote"], 1.5, "field 'vote' is 1.5; give the fraction 0..1"),
        (["truth", "better"], "x", "field 'better': slot 'x' unknown"),
        (["truth", "distortions", "b", 0, "severity"], 6, "field 'severity' is 6; give a whole number 1..5"),
        (["truth", "questionnaires", "a", "noise"], "awful", "field 'noise': level 'awful' unknown; choose"),
        (["truth", "questionnaires", "a", "overall"], None, "field 'overall' is missing"),
        (["truth", "distortions"], [], "field 'distortions' must be an object by slot, got list"),
    ],
)
def test_bad_field_is_named_with_its_place(path, value, message):
    with pytest.raises(ValueError) as error:
        from_json(changed(path, value), "shard-000003.tar record 7 '000007'")
    assert message in str(error.value)
    assert str(error.value).startswith("shard-000003.tar record 7 '000007'")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["img.v1", "", "a/b", "__meta__", "-x", "über", "k" * 81, "a b"])
def test_key_that_webdataset_would_split_is_refused(key):
    with pytest.raises(ValueError, match="webdataset; use up to 80"):
        check_record(Record(key, {Slot.A: Image.new("RGB", (8, 8))}, (PLAIN,)))


def test_slot_without_an_image_is_refused():
    with pytest.raises(ValueError, match="names reference, b, of which the record has no image"):
        check_record(Record("k", {Slot.A: Image.new("RGB", (8, 8))}, (FULL,)))


def test_empty_record_is_refused():
    image = {Slot.A: Image.new("RGB", (8, 8))}
    with pytest.raises(ValueError, match="no samples"):
        check_record(Record("k", image, ()))
    with pytest.raises(ValueError, match="no image"):
        check_record(Record("k", {}, (PLAIN,)))
