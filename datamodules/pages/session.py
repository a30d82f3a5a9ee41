"""What a browser asks of a page and what it gets: HTML by part of the page, and which question to turn to.

Requests are `{do: open, number}` (none: the first open item), `{do: check, number, item, values}` and
`{do: save, number, item, values}`. `item` is what the browser shows under that number: a page left open from an
earlier start must not save its answers under another item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from datamodules.pages import markup
from datamodules.pages.form import Unanswered
from depictqa.sample import Slot


class Page(Protocol):
    """Items by number, and one person's answers about them."""

    title: str
    annotator: str
    out: Path

    @property
    def buttons(self) -> Sequence[markup.Button]: ...

    @property
    def done(self) -> list[bool]: ...

    def identity(self, number: int) -> str:
        """What tells the item from all others."""

    def parts(self, number: int) -> dict[str, str]:
        """HTML of `viewer` and `form`."""

    def check(self, number: int, values: Mapping[str, str]) -> dict[str, str]:
        """HTML of the parts that change while answers are given."""

    def save(self, number: int, values: Mapping[str, str]) -> str:
        """To disk; -> what was done. ValueError or OSError: nothing was."""

    def image(self, number: int, slot: Slot) -> bytes:
        """PNG. KeyError or IndexError where there is none, ValueError where it cannot be decoded."""


def reply(page: Page, request: Mapping[str, Any]) -> dict[str, Any]:
    done = page.done
    if request["do"] == "open":
        number = request.get("number")
        if number is None:
            number = next_open(done)
            return _show(page, 0, _finished(page)) if number is None else _show(page, number)
        return _show(page, min(max(int(number), 0), len(done) - 1))
    number, values = int(request["number"]), request["values"]
    if not 0 <= number < len(done) or request["item"] != page.identity(number):
        return _say(page, 0, "not saved: the program was started anew with other items; reload the page")
    if request["do"] == "check":
        return {"parts": page.check(number, values)}
    try:
        message = page.save(number, values)
    except Unanswered as error:
        return _say(page, number, f"not saved: {error}") | {"focus": error.question.name}
    except (OSError, ValueError) as error:
        return _say(page, number, f"not saved: {error}")
    following = next_open(page.done, number)
    return _show(page, number, _finished(page)) if following is None else _show(page, following, message)


def next_open(done: Sequence[bool], after: int = -1) -> int | None:
    """The first place that is not done beyond `after`, else the first before it; None where all are done."""
    places = (*range(after + 1, len(done)), *range(min(after + 1, len(done))))
    return next((place for place in places if not done[place]), None)


def _show(page: Page, number: int, message: str = "") -> dict[str, Any]:
    bar = markup.bar(number, page.done, page.annotator, message, page.buttons)
    return {"number": number, "item": page.identity(number), "parts": {**page.parts(number), "bar": bar}}


def _say(page: Page, number: int, message: str) -> dict[str, Any]:
    """A mistake, beside answers that stay as they are."""
    return {"parts": {"bar": markup.bar(number, page.done, page.annotator, message, page.buttons, mistake=True)}}


def _finished(page: Page) -> str:
    return f"all {len(page.done)} are done; they are in {page.out}"
