"""One clause of a text -> (term, degree) pairs.

A clause is read as a row of marks (terms and degrees). A degree right before a term belongs to it (`severe
blur`, `no visible noise`) and passes along a list (`no noise, blur or artifacts`); a degree after a list and
its verb belongs to the whole list (`brightness, color and noise are fine`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from depictqa.parsing.terms import LESS, NONE, Mark, find_marks

Statement = tuple[str, str | None]
"""(class or field, degree); a degree of None is a bare mention."""

_FILLER = re.compile(
    r"(?:(?:an?|the|any|of|from|in|to|with|by|for|amounts?|degree|levels?|kinds?|signs?|traces?|visible|visibly"
    r"|noticeabl[ey]|notable|apparent|image|been|its|gaussian|motion|lens|white|random|digital|wrong|unwanted"
    r"|resulting|affected|degraded|distorted|corrupted|damaged|impaired|off|changed|altered|shifted|terms|due"
    r"|distortions?|lossy|strengthened|weakened|increased|reduced|lost|loss|further|problems?|issues?)(?: |$))*"
)
_JOINER = re.compile(r"(?:[\s,/&]|\b(?:and|or|nor|the|its|plus|also|any|with|in)\b)*")
_VERB = re.compile(r"\b(?:is|are|was|were|be|been|looks?|appears?|seems?|remains?|stays?|has|have|shows?|kept)\b")
_PARTICIPLE = re.compile(r"\s*(?:affected|degraded|distorted|corrupted|damaged|impaired|changed|altered|off|lost)\b")
_CLEAN = re.compile(
    r"\b(?:undistorted|pristine|flawless|perfect|clean|(?:not|never) (?:\w+ )?(?:distorted|degraded|damaged))\b"
)
_COMPARISON = re.compile(r"\b(?:than|compared (?:to|with)|unlike|relative to)\b(?:[^,;.§]{0,40}§\w+(?:'s)?|[^,;.§]*)")
_MAX_GAP_WORDS = 8


@dataclass
class _Item:
    """A term in a list, the degree right before it, and the text that links it to the item before."""

    term: Mark
    own: str | None
    start: int
    link: str = ""


def drop_comparisons(clause: str) -> str:
    """Without `than image B`, `compared to image B`: what is said there is not about the subject."""
    return _COMPARISON.sub("", clause)


def read_clause(clause: str, topic: Sequence[str] = ()) -> list[Statement]:
    """What a clause states; `topic` are the terms of the clause before, for one that leaves them out."""
    marks: Sequence[Mark] = find_marks(clause)
    if any(mark.name == "overall" for mark in marks):
        # `overall, the distortion is mild` speaks of the image as a whole; `good overall, without distortions` of both.
        marks = [mark for i, mark in enumerate(marks) if mark.name != "all" or (i > 0 and marks[i - 1].name == NONE)]
    degrees = [mark for mark in marks if mark.kind == "degree"]
    items = _items(clause, marks)
    if items:
        return [pair for run in _runs(items) for pair in _read_run(clause, marks, run)]
    absolute = [mark.name for mark in degrees if mark.name != LESS]
    if not absolute:
        return []
    if absolute[0] == NONE and _CLEAN.search(clause) and "overall" not in topic:
        return [("all", NONE)]
    return [(name, absolute[0]) for name in topic]


def _items(clause: str, marks: Sequence[Mark]) -> list[_Item]:
    items: list[_Item] = []
    for position, mark in enumerate(marks):
        if mark.kind == "degree":
            continue
        item = _Item(mark, mark.degree, mark.start)
        before = marks[position - 1] if position else None
        if before is not None and before.kind == "degree" and before.start >= (items[-1].term.end if items else 0):
            gap = clause[before.end : mark.start].strip()
            if mark.degree is None and _FILLER.fullmatch(gap):
                item.own, item.start = before.name, before.start
        if items:
            item.link = clause[items[-1].term.end : item.start]
        items.append(item)
    return items


def _runs(items: list[_Item]) -> list[list[_Item]]:
    """Group items into lists: nothing but joiners between neighbours."""
    runs: list[list[_Item]] = []
    for item in items:
        if runs and _JOINER.fullmatch(item.link):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _read_run(clause: str, marks: Sequence[Mark], run: list[_Item]) -> list[Statement]:
    after = _degree_after(clause, marks, run[-1].term)
    if after is not None and len(run) > 1 and run[-1].own is None and "and" not in run[-1].link:
        # `severe noise and blur, color is fine`: a list ends with `and`, so only its last item has this verb.
        if any(item.own for item in run) and not re.search(r"\bn?or\b", run[-1].link):
            return [*_shared(run[:-1], None), (run[-1].term.name, after)]
    if after is None and len(run) > 1 and _opens_statement(clause, marks, run):
        return [*_shared(run[:-1], None), (run[-1].term.name, None)]
    return _shared(run, after)


def _opens_statement(clause: str, marks: Sequence[Mark], run: list[_Item]) -> bool:
    """Whether the last item of a list begins anew: `strong contrast and colors are faded`, not `no noise or blur is
    visible`."""
    last = run[-1]
    verb = re.match(r"\s*(?:is|are|look|looks|appear|appears) (?:\w+ly )?", clause[last.term.end :])
    if verb is None or last.own is not None or re.search(r"\bn?or\b", last.link):
        return False
    predicate = last.term.end + verb.end()
    named = any(mark.start == predicate and mark.kind == "class" for mark in marks)
    return named or run[-2].own != NONE


def _shared(run: list[_Item], after: str | None) -> list[Statement]:
    statements: list[Statement] = []
    passed: str | None = None
    for item in run:
        degree = item.own or after or passed
        passed = item.own or passed
        statements.append((item.term.name, degree))
    return statements


def _degree_after(clause: str, marks: Sequence[Mark], term: Mark) -> str | None:
    following = [mark for mark in marks if mark.start >= term.end]
    if not following or following[0].kind != "degree":
        return None
    degree = following[0]
    gap = clause[term.end : degree.start]
    if term.name != "overall" and ("," in gap or len(gap.split()) > _MAX_GAP_WORDS):
        return None
    if not _VERB.search(gap) and len(gap.split()) > 2 and term.name != "overall":
        return None
    if len(following) > 1 and following[1].kind != "degree" and not _PARTICIPLE.match(clause[degree.end :]):
        # The degree opens the next item, `noise is joined by slight blur`, unless it ends its own verb.
        gap = clause[degree.end : following[1].start].strip()
        if _FILLER.fullmatch(gap) and following[1].degree is None:
            return None
    return degree.name
