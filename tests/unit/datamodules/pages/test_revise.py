"""The revision page without a browser: what is marked, what a verdict keeps, and which drafts are shown."""

from __future__ import annotations

import json

import numpy as np
import pytest

from datamodules.annotations import Annotation, read_lines, write_annotations
from datamodules.pages.items import read_items
from datamodules.pages.revise import RevisionPage, read_drafts
from datamodules.pages.session import reply
from datamodules.writers.rules import describe, reason
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Slot, Truth

NOISY = Questionnaire(noise=Level.SEVERE, overall=Overall.SEVERE, texture_damage=Level.MILD)
BLURRED = Questionnaire(blur=Level.MILD, overall=Overall.MILD, texture_damage=Level.MILD)
RIGHT = (
    "The image is severely noisy. The rest is fine. Its texture is slightly damaged. Overall, it is severely distorted."
)
WRONG = (
    "The image is slightly noisy. The rest is fine. Its texture is slightly damaged. Overall, it is mildly distorted."
)
QUESTION = "What is wrong <here>?"


def draft(key, task, text, **more):
    return {
        "key": key,
        "task": task,
        "question": QUESTION,
        "text": text,
        "writer": "rules",
        "outcome": "written",
        **more,
    }


def write(path, *values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


@pytest.fixture
def folder(raw):
    """Annotations by one person, and a draft for each of the three items; the second one's is wrong in its noise."""
    _, items = read_items(raw)
    forms = [{Slot.A: NOISY, Slot.B: BLURRED}, {Slot.A: NOISY}, {Slot.A: BLURRED}]
    annotations = [
        Annotation(item.key, "bob", item.images, of, Slot.B if len(of) == 2 else None)
        for item, of in zip(items, forms, strict=True)
    ]
    write_annotations(raw.parent / "annotations.jsonl", annotations)
    rng = np.random.default_rng(0)
    write(
        raw.parent / "drafts.jsonl",
        draft("0", "reasoning", reason(Truth(better=Slot.B, questionnaires=forms[0]), rng)),
        draft("1", "description", WRONG),
        draft("2", "description", "", outcome="refused"),
        draft("2", "description", describe(Truth(questionnaires={Slot.A: BLURRED}), rng)),
    )
    return raw.parent


def page(folder, annotator="ada"):
    names = ("drafts.jsonl", "annotations.jsonl", "out.jsonl")
    return RevisionPage(*(folder / name for name in names), annotator)


def ask(page, do, number, **values):
    return reply(page, {"do": do, "number": number, "item": page.identity(number), "values": values})


def saved(folder):
    return [value for _, value in read_lines(folder / "out.jsonl")]


def marked(html):
    return [cell.split('"')[1] for cell in html.split("<td ") if "class=wrong" in cell]


def test_only_written_drafts_are_shown(folder):
    assert [one.item.key for one in page(folder).drafts] == ["0", "1", "2"]


def test_fields_that_the_text_states_otherwise_are_marked_until_it_is_mended(folder):
    ada = page(folder)
    assert marked(ada.parts(0)["form"]) == marked(ada.parts(2)["form"]) == []
    assert marked(ada.parts(1)["form"]) == ["a.noise", "a.overall"]
    assert marked(ask(ada, "check", 1, text=WRONG.replace("slightly noisy", "severely noisy"))["parts"]["checked"]) == [
        "a.overall"
    ]
    assert marked(ask(ada, "check", 1, text=RIGHT)["parts"]["checked"]) == []


def test_the_wrong_conclusion_is_marked(folder):
    ada = page(folder)
    text = "Image A is severely noisy. Image B is slightly blurred. Overall, Image A is better."
    assert "better.overall" in marked(ask(ada, "check", 0, text=text)["parts"]["checked"])


def test_both_versions_are_kept_with_the_verdict(folder):
    ada = page(folder)
    drafts = [one.text for one in ada.drafts]
    ask(ada, "save", 0, text=drafts[0] + "\n", verdict="accept")
    ask(ada, "save", 1, text="The noise is severe.", verdict="accept")
    ask(ada, "save", 2, text=drafts[2], verdict="reject")
    assert [(line["verdict"], line["draft"], line["text"]) for line in saved(folder)] == [
        ("accepted", drafts[0], drafts[0]),
        ("edited", drafts[1], "The noise is severe."),
        ("rejected", drafts[2], drafts[2]),
    ]
    assert saved(folder)[0].keys() == {"key", "task", "question", "draft", "text", "verdict", "annotator"}


def test_ends_of_lines_are_no_edit(folder):
    write(folder / "drafts.jsonl", draft("1", "description", "It is noisy.\r\nThe rest is fine."))
    ask(page(folder), "save", 0, text="It is noisy.\nThe rest is fine.", verdict="accept")
    assert (saved(folder)[0]["verdict"], saved(folder)[0]["text"]) == ("accepted", saved(folder)[0]["draft"])


def test_a_new_start_resumes_and_shows_the_edited_text(folder):
    ask(page(folder), "save", 1, text="The noise is severe.", verdict="accept")
    again = page(folder)
    assert again.done == [False, True, False] and reply(again, {"do": "open"})["number"] == 0
    form = reply(again, {"do": "open", "number": 1})["parts"]["form"]
    assert "The noise is severe.</textarea>" in form and "edited" in form
    ask(again, "save", 1, text=again.drafts[1].text, verdict="accept")  # after all
    assert [line["verdict"] for line in saved(folder)] == ["accepted"]
    assert page(folder, "bob").done == [False] * 3


def test_an_empty_text_is_not_accepted_but_can_be_thrown_out(folder):
    ada = page(folder)
    assert "not saved: the text is empty" in ask(ada, "save", 0, text=" ", verdict="accept")["parts"]["bar"]
    assert not (folder / "out.jsonl").exists()
    ask(ada, "save", 0, text="", verdict="reject")
    assert saved(folder)[0]["verdict"] == "rejected"


def test_what_comes_from_data_is_escaped(folder):
    write(folder / "drafts.jsonl", draft("1", "description", "</textarea><script>x</script>"))
    form = page(folder).parts(0)["form"]
    assert "<script" not in form and form.count("</textarea>") == 1 and "&lt;here&gt;" in form


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (draft("9", "description", "x"), "line 1: no annotation of '9'; give"),
        (draft("0", "description", "x"), "line 1: '0' was annotated by ada, bob; name one"),
        (draft("0", "description", "x", annotator="cy"), "line 1: no annotation of '0' by 'cy'"),
        (draft("0", "description", 3), "line 1: field 'text' is 3"),
        ({"text": "x"}, "line 1: expected an object with a key"),
        (draft("0", "description", "", outcome="failed"), "holds no written draft"),
    ],
)
def test_a_draft_that_fits_nothing_is_named(tmp_path, value, message):
    write(tmp_path / "drafts.jsonl", value)
    by = [Annotation("0", name, {Slot.A: "a.png"}, {Slot.A: NOISY}) for name in ("ada", "bob")]
    with pytest.raises(ValueError, match=message):
        read_drafts(tmp_path / "drafts.jsonl", by)


def test_a_draft_can_name_its_annotator(tmp_path):
    write(tmp_path / "drafts.jsonl", draft("0", "description", "x", annotator="bob"))
    by = [Annotation("0", name, {Slot.A: "a.png"}, {Slot.A: NOISY}) for name in ("ada", "bob")]
    assert read_drafts(tmp_path / "drafts.jsonl", by)[0].annotation.annotator == "bob"


def test_images_that_lie_elsewhere_are_asked_for(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("drafts.jsonl", "annotations.jsonl"):
        (folder / name).rename(elsewhere / name)
    with pytest.raises(FileNotFoundError, match="give the folder that paths are relative to .images=DIR."):
        page(elsewhere)
    names = ("drafts.jsonl", "annotations.jsonl", "out.jsonl")
    assert len(RevisionPage(*(elsewhere / name for name in names), "ada", images=folder).drafts) == 3


def test_a_file_that_is_no_revisions_is_refused(folder):
    write(folder / "out.jsonl", {"key": "1"})
    with pytest.raises(ValueError, match="out.jsonl' line 1: expected a revision"):
        page(folder)
