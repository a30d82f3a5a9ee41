"""The annotation page without a browser: what is saved, where one goes on, and what is refused."""

from __future__ import annotations

import json

import pytest

from datamodules.annotations import read_annotations, write_annotations
from datamodules.pages.annotate import AnnotationPage
from datamodules.pages.form import questions
from datamodules.pages.session import next_open, reply
from depictqa.sample import Slot


def page(raw, annotator="ada"):
    return AnnotationPage(raw, raw.parent / "out.jsonl", annotator)


def filled(page, number, which=-1):
    return {question.name: question.choices[which][1] for question in questions(page.items[number])}


def save(page, number, values=None, item=None):
    values = filled(page, number) if values is None else values
    item = page.identity(number) if item is None else item
    return reply(page, {"do": "save", "number": number, "item": item, "values": values})


def test_saving_goes_on_and_a_new_start_resumes(raw):
    first = page(raw)
    assert reply(first, {"do": "open"})["number"] == 0
    assert save(first, 0)["number"] == 1
    again = page(raw)
    shown = reply(again, {"do": "open"})
    assert shown["number"] == 1 and "1 done by ada" in shown["parts"]["bar"]
    assert save(again, 2)["number"] == 1  # the first open one, wherever one was
    done = save(again, 1)
    assert done["number"] == 1 and "all 3 are done; they are in" in done["parts"]["bar"]
    assert reply(page(raw), {"do": "open"})["number"] == 0
    assert sorted(line.key for line in read_annotations(raw.parent / "out.jsonl")) == ["0", "1", "2"]


def test_annotators_share_a_file_and_each_resumes_alone(raw):
    save(page(raw), 0)
    bob = page(raw, "bob")
    assert bob.done == [False] * 3
    save(bob, 0, filled(bob, 0, which=0))
    save(page(raw), 0, filled(bob, 0, which=0))  # ada changes her mind
    lines = read_annotations(raw.parent / "out.jsonl")
    assert [(line.annotator, line.better) for line in lines] == [("ada", Slot.A), ("bob", Slot.A)]


def test_saved_answers_are_shown_again(raw):
    ada = page(raw)
    save(ada, 0)
    form = reply(page(raw), {"do": "open", "number": 0})["parts"]["form"]
    assert form.count(" checked>") == len(questions(ada.items[0])) - 2  # two are lists
    assert form.count(" selected>Objects") == 2
    assert " checked>" not in reply(ada, {"do": "open", "number": 1})["parts"]["form"]


def test_an_incomplete_form_is_not_saved_and_the_question_is_named(raw):
    ada = page(raw)
    values = filled(ada, 0) | {"b.noise": ""}
    refused = save(ada, 0, values)
    assert "not saved: noise of image B is not answered" in refused["parts"]["bar"]
    assert refused["focus"] == "b.noise" and refused["parts"].keys() == {"bar"}  # the answers stay on the page
    assert not (raw.parent / "out.jsonl").exists()


def test_a_page_of_an_earlier_start_cannot_save_under_another_item(raw):
    ada = page(raw)
    for number, item in ((1, ada.identity(0)), (7, ada.identity(0)), (-1, ada.identity(2))):
        assert "reload the page" in save(ada, number, filled(ada, 1), item)["parts"]["bar"]
    assert not (raw.parent / "out.jsonl").exists()


def test_a_full_disk_is_said_on_the_page(raw, monkeypatch):
    ada = page(raw)
    monkeypatch.setattr("datamodules.pages.annotate.put_line", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert "not saved: disk full" in save(ada, 0)["parts"]["bar"]
    assert ada.done == [False] * 3


def test_an_image_that_cannot_be_decoded_is_said_and_not_annotated(raw):
    (raw.parent / "a.png").write_bytes((raw.parent / "a.png").read_bytes()[:60])
    parts = reply(page(raw), {"do": "open", "number": 0})["parts"]
    assert "This item cannot be annotated: image" in parts["form"] and "<form" not in parts["form"]
    assert "cannot be decoded" in parts["viewer"] and parts["viewer"].count("<img") == 2


def test_an_annotation_of_other_images_is_refused(raw):
    save(page(raw), 1)
    raw.write_text(json.dumps({"key": "1", "images": {"a": "b.png"}}) + "\n")
    with pytest.raises(ValueError, match="item '1' was annotated with other images than"):
        page(raw)


def test_a_broken_file_of_answers_is_named_before_it_is_written_to(raw):
    (raw.parent / "out.jsonl").write_text('{"key": "1", "anno')
    with pytest.raises(ValueError, match="out.jsonl' line 1: not JSON"):
        page(raw)


def test_what_comes_from_data_is_escaped(raw):
    bad = '"><script>x</script>'
    ada = page(raw, bad)
    shown = "".join(reply(ada, {"do": "open"})["parts"].values())
    assert "<script" not in shown and "&lt;script&gt;" in shown


def test_file_names_are_not_shown(raw):
    assert "a.png" not in "".join(reply(page(raw), {"do": "open"})["parts"].values())


@pytest.mark.parametrize(
    ("done", "after", "found"),
    [("ooo", -1, 0), ("xoo", -1, 1), ("xxo", 2, 2), ("oxx", 2, 0), ("oxo", 0, 2), ("xxx", 1, None), ("x", -1, None)],
)
def test_the_next_open_place(done, after, found):
    assert next_open([mark == "x" for mark in done], after) == found


def test_writing_stays_quick_with_many_lines(raw):
    ada = page(raw)
    save(ada, 0)
    line = read_annotations(raw.parent / "out.jsonl")[0]
    many = [type(line)(f"k{n}", "bob", line.images, line.forms, line.better, line.better_by_field) for n in range(3000)]
    write_annotations(raw.parent / "out.jsonl", many)
    save(ada, 1)
    assert len(read_annotations(raw.parent / "out.jsonl")) == 3001
