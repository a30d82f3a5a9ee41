"""The HTML of the pages. All that comes from data is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from datamodules.pages.form import BETTER, ROWS, Question, asked, columns, questions, words
from datamodules.pages.items import Item, png
from depictqa.sample import Slot

Button = tuple[str, str, str]
"""(verdict, words, key on the keyboard) of one way to save."""

_ZOOM = (
    ("out", "−", "Zoom out (-)"),
    ("in", "+", "Zoom in (+)"),
    ("one", "1:1", "One pixel to one pixel (Home)"),
    ("fit", "fit", "The whole image (End)"),
)

_KEYS_OF_FORM = (
    ("1 2 3", "answer and go on"),
    ("↑ ↓ ← → Tab", "to another question"),
    ("letter", "texture category"),
    ("Ctrl+Enter", "save and go on"),
)
KEYS_OF_VIEWER = (
    ("+ −", "zoom (or the mouse wheel)"),
    ("Home End", "1:1, whole image"),
    ("Shift+arrows", "move the images (or drag)"),
    ("PgUp PgDn", "previous, next item"),
)


def viewer(item: Item, number: int, folder: Path) -> str:
    """The item's images side by side; one that cannot be decoded is replaced by what is wrong with it.

    Without their names, which often tell what was done to them.
    """
    slots = [slot for slot in Slot if slot in item.images]
    buttons = "".join(
        f'<button type="button" data-zoom="{do}" title="{title}">{sign}</button>' for do, sign, title in _ZOOM
    )
    figures = "".join(_figure(item, slot, number, folder) for slot in slots)
    return f'<div class="panes">{figures}</div><div class="zoom">{buttons}<output>1×</output></div>'


def slot_words(item: Item, slot: Slot) -> str:
    if slot is Slot.REFERENCE:
        return "Reference"
    return f"Image {slot.upper()}" if len(item.assessed) == 2 else "Image"


def form(item: Item, answers: Mapping[str, str], folder: Path) -> str:
    """A table: a row for each question, a column for each image and for which is better.

    No form where an image cannot be decoded: nothing can be said of what was not seen.
    """
    if wrong := next(filter(None, (_unreadable(folder / path) for path in item.images.values())), None):
        return f'<p class="unreadable">This item cannot be annotated: {escape(wrong)}</p>'
    by_name = {question.name: question for question in questions(item)}
    rows = []
    for number, row in enumerate(ROWS):
        cells = [
            _cell(by_name[f"{column}.{row}"], number, place, answers.get(f"{column}.{row}"))
            if asked(row, column)
            else "<td></td>"
            for place, column in enumerate(columns(item))
        ]
        rows.append(f"<tr><th>{words(row)}</th>{''.join(cells)}</tr>")
    keys = legend((*_KEYS_OF_FORM, *KEYS_OF_VIEWER))
    return f'<form class="answers"><table>{_head(item)}{"".join(rows)}</table></form>{keys}'


def checked(item: Item, stated: Mapping[str, str], said: Mapping[str, str | None]) -> str:
    """The form as it was filled in; `said` are the questions where a text says something else, or nothing (None)."""
    rows = []
    for row in ROWS:
        cells = []
        for column in columns(item):
            name = f"{column}.{row}"
            mark = f"<em>text: {_words_of(said[name], column) or 'not said'}</em>" if name in said else ""
            place = f'data-field="{name}"{" class=wrong" * (name in said)}'
            cells.append(f"<td {place}>{_words_of(stated.get(name), column)}{mark}</td>")
        rows.append(f"<tr><th>{words(row)}</th>{''.join(cells)}</tr>")
    return f'<table class="stated">{_head(item)}{"".join(rows)}</table>'


def bar(
    number: int,
    done: Sequence[bool],
    annotator: str,
    message: str,
    buttons: Sequence[Button],
    mistake: bool = False,
) -> str:
    """The line below: where one is, what happened, and the buttons that save."""
    many, finished = len(done), sum(done)
    saves = "".join(
        f'<button type="button" data-do="save" data-verdict="{verdict}">{text} <kbd>{key}</kbd></button>'
        for verdict, text, key in buttons
    )
    return (
        f'<button type="button" data-do="previous" title="PgUp"{" disabled" * (number == 0)}>‹ previous</button>'
        f'<button type="button" data-do="next" title="PgDn"{" disabled" * (number == many - 1)}>next ›</button>'
        f'<span class="progress"><i style="width: {100 * finished / many:.1f}%"></i></span>'
        f'<span class="place">item {number + 1} of {many} ({"done" if done[number] else "open"}) · '
        f"{finished} done by {escape(annotator)}</span>"
        f'<span class="message{" mistake" * mistake}" role="alert">{escape(message)}</span>{saves}'
    )


def legend(keys: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<dt><kbd>{key}</kbd></dt><dd>{what}</dd>" for key, what in keys)
    return f'<aside><dl class="keys">{lines}</dl></aside>'


def _figure(item: Item, slot: Slot, number: int, folder: Path) -> str:
    caption = f"<figcaption>{slot_words(item, slot)} <small></small></figcaption>"
    if wrong := _unreadable(folder / item.images[slot]):
        return f'<figure>{caption}<p class="unreadable">{escape(wrong)}</p></figure>'
    image = f'<img src="image/{number}/{slot}" alt="{slot_words(item, slot)}" draggable="false">'
    return f'<figure>{caption}<div class="pane">{image}</div></figure>'


def _unreadable(path: Path) -> str | None:
    try:
        png(path)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _head(item: Item) -> str:
    heads = ["Better" if column == BETTER else slot_words(item, Slot(column)) for column in columns(item)]
    return f"<tr><th></th>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"


def _cell(question: Question, row: int, column: int, answer: str | None) -> str:
    place = f'data-question="{question.name}" data-row="{row}" data-column="{column}"'
    label = f'aria-label="{question.label}"'
    if question.row == "texture":
        options = "".join(
            f'<option value="{escape(value)}"{" selected" * (value == answer)}>{escape(text)}</option>'
            for _, value, text in question.choices
        )
        return f'<td {place}><select name="{question.name}" {label}><option value=""></option>{options}</select></td>'
    choices = "".join(
        f'<label><input type="radio" name="{question.name}" value="{value}" data-key="{key}"'
        f"{' checked' * (value == answer)}><span><kbd>{key}</kbd>{text}</span></label>"
        for key, value, text in question.choices
    )
    return f'<td {place}><div class="choices" role="radiogroup" {label}>{choices}</div></td>'


def _words_of(answer: str | None, column: str) -> str:
    """Images are named by capitals."""
    return escape(answer.upper() if column == BETTER and answer in ("a", "b") else answer or "")
