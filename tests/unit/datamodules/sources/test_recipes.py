"""Plans are balanced, and what a record's texts say is what was done to its images."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from datamodules.distortions import CLASS_OF, CLASSES, FUNCTIONS, detectable_without_reference, severity_word
from datamodules.records import Record, RecordSample
from datamodules.sources.crops import Detail, Jitter
from datamodules.sources.photos import PHOTOS
from datamodules.sources.plans import plan_detailed, plan_external, plan_identification, plan_templated
from datamodules.sources.recipes import Item, Maker
from datamodules.writers.forms import fill_questionnaire
from datamodules.writers.pools import SINGLE_WORD_TAIL
from datamodules.writers.rules import NOUNS
from depictqa.parsing import parse_description, parse_preference, parse_reasoning
from depictqa.sample import Slot, Task

COUNT = 240
KEY = (0, 0, 0)
PAIR = (Slot.A, Slot.B)


def make(items: list[Item], split: str = "train", functions: int = 1) -> list[Record]:
    return [maker(split, functions).make(number, item) for number, item in enumerate(items)]


def maker(split: str = "train", functions: int = 1) -> Maker:
    photos = tuple(photo for photo in PHOTOS if photo.split == split)
    return Maker(photos, split, Detail(32, Jitter() if split == "train" else None), KEY, functions)


@pytest.fixture(scope="module")
def comparisons() -> dict[str, list[Record]]:
    return {split: make(plan_templated(COUNT, split, KEY), split) for split in ("train", "test")}


@pytest.fixture(scope="module")
def detailed() -> list[Record]:
    return make(plan_detailed(COUNT, "train", KEY))


@pytest.fixture(scope="module")
def identifications() -> list[Record]:
    return make(plan_identification(COUNT, KEY))


def samples(records: list[Record]) -> list[RecordSample]:
    return [sample for record in records for sample in record.samples]


def severity(sample: RecordSample, slot: Slot) -> int:
    return max((distortion.severity for distortion in sample.truth.distortions[slot]), default=0)


def pixels(record: Record, slot: Slot) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(record.images[slot])))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_half_of_comparisons_have_a_better(split: str) -> None:
    items = plan_templated(COUNT, split, KEY)
    assert Counter(item.better for item in items) == {Slot.A: COUNT // 2, Slot.B: COUNT // 2}
    reasoned = [item for item in plan_detailed(COUNT, split, KEY) if item.task is Task.REASONING]
    assert Counter(item.better for item in reasoned) == {Slot.A: COUNT // 4, Slot.B: COUNT // 4}


def test_pairs_are_balanced_and_the_better_is_less_severe() -> None:
    items = plan_templated(1200, "train", KEY)
    better = [item.applied[item.better] for item in items]
    worse = [next(applied for slot, applied in item.applied.items() if slot is not item.better) for item in items]
    both = [(one[0], other[0]) for one, other in zip(better, worse, strict=True) if one]
    assert all(one.severity < other.severity for one, other in both)
    assert Counter(other[0].name for other in worse) == dict.fromkeys(CLASSES, 100)
    assert np.mean([one.name == other.name for one, other in both]) == pytest.approx(0.5 + 0.5 / 12, abs=0.05)
    assert 1 - len(both) / len(items) == pytest.approx(0.05, abs=0.02)


def test_single_images_have_every_class_and_severity_equally_often() -> None:
    for items in (plan_identification(600, KEY), plan_detailed(1200, "train", KEY)):
        single = [item.applied[Slot.A] for item in items if len(item.applied) == 1]
        distorted = [applied[0] for applied in single if applied]
        assert 15 <= len(single) - len(distorted) <= 45
        names = Counter(applied.name for applied in distorted)
        assert names.keys() == set(CLASSES) and all(40 <= count <= 50 for count in names.values())
        levels = Counter(applied.severity for applied in distorted)
        assert all(abs(levels[level] - 114) < 15 for level in range(1, 6))


def test_plans_follow_their_key() -> None:
    for plan in (plan_templated, plan_detailed):
        assert plan(50, "train", KEY) == plan(50, "train", KEY) != plan(50, "train", (1, 0, 0))


def test_single_word_tail_in_half_of_training_and_all_of_test_questions(comparisons) -> None:
    for split, share in (("train", 0.5), ("test", 1.0)):
        asked = [sample.dialogue[0] for sample in samples(comparisons[split])]
        assert len(asked) == 2 * COUNT
        brief = [turn for turn in asked if turn.question.endswith(SINGLE_WORD_TAIL)]
        assert len(brief) == share * len(asked)
        assert all((turn.answer in ("Image A", "Image B")) == (turn in brief) for turn in asked)


def test_comparison_answers_agree_with_the_severities(comparisons) -> None:
    for sample in samples(comparisons["train"] + comparisons["test"]):
        less = Slot.A if severity(sample, Slot.A) < severity(sample, Slot.B) else Slot.B
        assert sample.truth.better is less
        assert severity(sample, Slot.A) != severity(sample, Slot.B)
        assert parse_preference(sample.dialogue[0].answer).better is less


def test_every_pair_is_compared_with_and_without_the_reference(comparisons) -> None:
    for record in comparisons["train"] + comparisons["test"]:
        assert [sample.slots for sample in record.samples] == [(Slot.REFERENCE, *PAIR), PAIR]
        assert all(sample.task is Task.COMPARISON for sample in record.samples)


def test_images_are_the_reference_distorted_as_stated(comparisons, detailed) -> None:
    for record in comparisons["train"] + detailed:
        truth = record.samples[0].truth
        assert truth.distortions.keys() == record.images.keys() - {Slot.REFERENCE}
        for slot, found in truth.distortions.items():
            assert pixels(record, slot).shape == (32, 32, 3)
            same = np.array_equal(pixels(record, slot), pixels(record, Slot.REFERENCE))
            assert same == (not found), (record.key, found)
            assert all(CLASS_OF[distortion.function] == distortion.name for distortion in found)
            assert truth.questionnaires[slot] == fill_questionnaire(found, truth.questionnaires[slot].texture)


def test_follow_ups_are_in_train_alone_and_true(comparisons) -> None:
    assert all(len(sample.dialogue) == 1 for sample in samples(comparisons["test"]))
    order = Counter()
    for sample in samples(comparisons["train"]):
        full_reference = Slot.REFERENCE in sample.slots
        asked = {}
        for turn in sample.dialogue[1:]:
            slot = next(slot for slot in PAIR if f"Image {slot.upper()}" in turn.question)
            found = sample.truth.distortions[slot]
            expected = f"{severity_word(found[0].severity)} {NOUNS[found[0].name]}".capitalize() if found else "None"
            assert turn.answer == expected
            asked[slot] = turn
        for slot in PAIR:
            seen = [detectable_without_reference(d.name, d.severity) for d in sample.truth.distortions[slot]]
            assert (slot in asked) == (full_reference or all(seen))
        order[next(iter(asked), None) if full_reference else None] += 1
    assert abs(order[Slot.A] - order[Slot.B]) < COUNT / 4  # either may come first


def test_without_a_reference_nothing_is_asked_that_cannot_be_seen(detailed, identifications) -> None:
    left_out = 0
    for record in detailed + identifications:
        found = [d for distortions in record.samples[0].truth.distortions.values() for d in distortions]
        seen = all(detectable_without_reference(d.name, d.severity) for d in found)
        own = tuple(slot for slot in PAIR if slot in record.images)
        expected = [(Slot.REFERENCE, *own), own] if seen else [(Slot.REFERENCE, *own)]
        assert [sample.slots for sample in record.samples] == expected
        left_out += not seen
    assert left_out > 20


def test_descriptions_and_reasoning_state_the_form(detailed) -> None:
    tasks = Counter(record.samples[0].task for record in detailed)
    assert tasks == {Task.DESCRIPTION: COUNT // 2, Task.REASONING: COUNT // 2}
    for sample in samples(detailed):
        answer = sample.dialogue[0].answer
        if sample.task is Task.REASONING:
            parsed = parse_reasoning(answer)
            assert parsed.preference.better is sample.truth.better, answer
            fields = {slot: parsed.fields(slot) for slot in PAIR}
        else:
            fields = {Slot.A: parse_description(answer)}
        for slot, stated in fields.items():
            assert stated.classes == {distortion.name for distortion in sample.truth.distortions[slot]}, answer
            assert stated.overall is sample.truth.questionnaires[slot].overall, answer


def test_identifications_name_distortion_and_severity(identifications) -> None:
    for sample in samples(identifications):
        found = sample.truth.distortions[Slot.A]
        expected = f"{severity_word(found[0].severity)} {NOUNS[found[0].name]}".capitalize() if found else "None"
        assert len(sample.dialogue) == 1
        assert sample.dialogue[0].answer == expected and "the image" in sample.dialogue[0].question


def test_content_records_are_clean_crops_with_a_description() -> None:
    for record in make(plan_external(20, "train", KEY)):
        assert list(record.images) == [Slot.A]
        (sample,) = record.samples
        assert sample.task is Task.CONTENT and sample.slots == (Slot.A,)
        assert sample.truth.better is None and not sample.truth.distortions
        assert len(sample.dialogue[0].answer.split(". ")) >= 2


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_records_come_from_the_photos_of_their_split_in_turn(split: str) -> None:
    names = [photo.name for photo in PHOTOS if photo.split == split]
    records = make(plan_external(2 * len(names), split, KEY), split)
    assert [record.reference for record in records] == names * 2
    assert [record.key for record in records[:2]] == [f"{split}000000", f"{split}000001"]


def test_a_record_does_not_depend_on_the_others() -> None:
    items = plan_templated(20, "train", KEY)
    assert maker().make(13, items[13]) == make(items)[13]


def test_as_many_functions_of_a_class_are_used_as_asked_for(comparisons) -> None:
    def used(records: list[Record]) -> set[str]:
        found = [record.samples[0].truth.distortions.values() for record in records]
        return {distortion.function for slots in found for distortions in slots for distortion in distortions}

    assert used(comparisons["train"]) == {members[0] for members in CLASSES.values()}
    assert used(make(plan_templated(3 * COUNT, "train", KEY), functions=6)) == set(FUNCTIONS)
