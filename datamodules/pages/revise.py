"""The revision page: a person reads a draft beside the images and the questionnaire that it was written from.

Each verdict is a JSON line that keeps both versions:

    {"key": "17", "task": "description", "question": "...", "draft": "...", "text": "...", "verdict": "edited",
     "annotator": "ada"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from datamodules.annotations import Annotation, read_annotations, read_lines
from datamodules.pages import markup
from datamodules.pages.form import BETTER, answers_of
from datamodules.pages.items import Item, check_files, png
from datamodules.pages.store import put_line
from datamodules.writers.check import disagreements
from depictqa.sample import Slot

VERDICTS = ("accepted", "edited", "rejected")
SAME = ("key", "task", "question", "draft", "annotator")
"""A draft that was written anew is another draft."""

_KEYS = (
    ("Ctrl+Enter", "accept, as it stands or as edited"),
    ("Ctrl+Shift+Enter", "throw out"),
    ("Esc", "leave the text, for the keys below"),
)


@dataclass(frozen=True)
class Draft:
    """A written text, and the annotation that it was written from."""

    task: str
    question: str
    text: str
    annotation: Annotation

    @property
    def item(self) -> Item:
        return Item(self.annotation.key, self.annotation.images)


class RevisionPage:
    """`annotator`'s verdicts on the drafts of `raw`, kept in `out`; images lie in `images`, or by the annotations."""

    title = "Revise"
    buttons = (("reject", "Throw out", "Ctrl+Shift+Enter"), ("accept", "Accept and go on", "Ctrl+Enter"))

    def __init__(
        self,
        raw: Path | str,
        annotations: Path | str,
        out: Path | str,
        annotator: str,
        images: Path | str | None = None,
    ) -> None:
        self.folder = Path(annotations).parent if images is None else Path(images)
        self.drafts = read_drafts(raw, read_annotations(annotations))
        try:
            check_files(self.folder, [draft.item for draft in self.drafts])
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; give the folder that paths are relative to (images=DIR)") from None
        self.out, self.annotator = Path(out), annotator
        lines = [_revision(value, where) for where, value in read_lines(self.out)] if self.out.exists() else []
        self.saved = {_identity(line): line for line in lines if line["annotator"] == annotator}

    @property
    def done(self) -> list[bool]:
        return [self._identity(number) in self.saved for number in range(len(self.drafts))]

    def identity(self, number: int) -> str:
        return json.dumps(self._line(number))

    def parts(self, number: int) -> dict[str, str]:
        draft, line = self.drafts[number], self.saved.get(self._identity(number))
        text = line["text"] if line else draft.text
        verdict = f' <b class="verdict">{line["verdict"]}</b>' if line else ""
        form = (
            f'<div data-part="checked">{self._checked(number, text)}</div><div class="text">'
            f"<p><b>{escape(draft.task)} of {escape(draft.item.key)}</b>{verdict}<br>{escape(draft.question)}</p>"
            f'<textarea name="text" aria-label="text">\n{escape(text)}</textarea>'
            f"<details><summary>the draft</summary><p>{escape(draft.text)}</p></details></div>"
            f"{markup.legend((*_KEYS, *markup.KEYS_OF_VIEWER))}"
        )
        return {"viewer": markup.viewer(draft.item, number, self.folder), "form": form}

    def check(self, number: int, values: Mapping[str, str]) -> dict[str, str]:
        return {"checked": self._checked(number, values["text"])}

    def save(self, number: int, values: Mapping[str, str]) -> str:
        draft, text = self.drafts[number], values["text"].strip()
        if text.splitlines() == draft.text.splitlines():  # a browser ends lines in its own way
            text = draft.text
        verdict = "rejected" if values["verdict"] == "reject" else "accepted" if text == draft.text else "edited"
        if verdict == "edited" and not text:
            raise ValueError("the text is empty; write one or throw it out")
        line = self._line(number) | {"text": text, "verdict": verdict, "annotator": self.annotator}
        put_line(self.out, line, SAME)
        self.saved[self._identity(number)] = line
        return f"{verdict} item {number + 1}"

    def image(self, number: int, slot: Slot) -> bytes:
        return png(self.folder / self.drafts[number].item.images[slot])

    def _line(self, number: int) -> dict[str, str]:
        """What a verdict is about."""
        draft = self.drafts[number]
        return {"key": draft.item.key, "task": draft.task, "question": draft.question, "draft": draft.text}

    def _identity(self, number: int) -> tuple[str, ...]:
        return _identity(self._line(number) | {"annotator": self.annotator})

    def _checked(self, number: int, text: str) -> str:
        """The form, marked where the text says something else."""
        draft = self.drafts[number]
        said = {
            f"{BETTER}.overall" if one.slot is None else f"{one.slot}.{one.field}": one.said
            for one in disagreements(text, draft.annotation)
        }
        return markup.checked(draft.item, answers_of(draft.annotation), said)


def read_drafts(path: Path | str, annotations: Iterable[Annotation]) -> list[Draft]:
    """The written ones; refused and failed ones have no text to revise. ValueError names the line.

    A draft's annotation is the one of its key, and of its `annotator` where several people annotated that key.
    """
    by_key: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        by_key.setdefault(annotation.key, []).append(annotation)
    drafts = []
    for where, value in read_lines(path):
        if not isinstance(value, dict) or not isinstance(value.get("key"), str):
            raise ValueError(f"{where}: expected an object with a key, got {value!r:.80}")
        if value.get("outcome", "written") != "written":
            continue
        for name in ("task", "question", "text"):
            if not isinstance(value.get(name), str):
                raise ValueError(f"{where}: field '{name}' is {value.get(name)!r}; give text")
        drafts.append(Draft(value["task"], value["question"], value["text"].strip(), _annotation(value, by_key, where)))
    if not drafts:
        raise ValueError(f"'{path}' holds no written draft; make some with a writer")
    return drafts


def _annotation(value: Mapping[str, Any], by_key: Mapping[str, list[Annotation]], where: str) -> Annotation:
    of_key = by_key.get(value["key"], [])
    names = sorted(annotation.annotator for annotation in of_key)
    found = [one for one in of_key if value.get("annotator", one.annotator) == one.annotator]
    if not found:
        by = f" by '{value['annotator']}'" if "annotator" in value else ""
        raise ValueError(f"{where}: no annotation of '{value['key']}'{by}; give the file that has it (annotations=)")
    if len(found) > 1:
        raise ValueError(f"{where}: '{value['key']}' was annotated by {', '.join(names)}; name one (field 'annotator')")
    return found[0]


def _identity(line: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in SAME)


def _revision(value: Any, where: str) -> dict[str, str]:
    names = (*SAME, "text", "verdict")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in names):
        raise ValueError(f"{where}: expected a revision: text for {', '.join(names)}")
    if value["verdict"] not in VERDICTS:
        raise ValueError(f"{where}: field 'verdict' is '{value['verdict']}'; choose {', '.join(VERDICTS)}")
    return value
