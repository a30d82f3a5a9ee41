"""The annotation page: a person looks at an item's images and fills in the questionnaire, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from datamodules.annotations import Annotation, read_annotations, to_json
from datamodules.pages import markup
from datamodules.pages.form import annotation_of, answers_of
from datamodules.pages.items import png, read_items
from datamodules.pages.store import put_line
from depictqa.sample import Slot

SAME = ("key", "annotator")
"""One line for an item and annotator: saving it again takes the place of what was saved before."""


class AnnotationPage:
    """`annotator`'s answers about the items of `raw`, kept in `out`; other annotators' lines stay as they are."""

    title = "Annotate"
    buttons = (("", "Save and go on", "Ctrl+Enter"),)

    def __init__(self, raw: Path | str, out: Path | str, annotator: str) -> None:
        self.folder, self.items = read_items(raw)
        self.out, self.annotator = Path(out), annotator
        lines = read_annotations(self.out) if self.out.exists() else []
        self.saved: dict[str, Annotation] = {line.key: line for line in lines if line.annotator == annotator}
        for item in self.items:
            if item.key in self.saved and dict(self.saved[item.key].images) != dict(item.images):
                raise ValueError(
                    f"'{self.out}': item '{item.key}' was annotated with other images than '{raw}' has; "
                    "give another file (out=FILE) or other keys"
                )

    @property
    def done(self) -> list[bool]:
        return [item.key in self.saved for item in self.items]

    def identity(self, number: int) -> str:
        item = self.items[number]
        return " ".join((item.key, *item.images.values()))

    def parts(self, number: int) -> dict[str, str]:
        item = self.items[number]
        answers = answers_of(self.saved[item.key]) if item.key in self.saved else {}
        return {"viewer": markup.viewer(item, number, self.folder), "form": markup.form(item, answers, self.folder)}

    def check(self, number: int, values: Mapping[str, str]) -> dict[str, str]:
        return {}

    def save(self, number: int, values: Mapping[str, str]) -> str:
        item = self.items[number]
        annotation = annotation_of(item, self.annotator, values)
        put_line(self.out, to_json(annotation), SAME)
        self.saved[item.key] = annotation
        return f"saved item {number + 1}"

    def image(self, number: int, slot: Slot) -> bytes:
        return png(self.folder / self.items[number].images[slot])
