"""Dialogues as released JSON files hold them: what `human` and `gpt` say in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depictqa.prompt import IMAGE_MARKER
from depictqa.sample import Turn


def read_array(path: Path, what: str) -> list[Any]:
    """A file's array of at least one record; `what` they are. ValueError names the file."""
    try:
        objects = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}; copy it again") from error
    if not isinstance(objects, list) or not objects:
        raise ValueError(f"'{path}' holds no array of records; {what} are a JSON array of at least one object")
    return objects


def read_dialogue(value: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    """The turns of an object's field `conversations`. ValueError, beginning with `where`, unless they are in turn."""
    said = value.get("conversations")
    if not isinstance(said, list) or not said or len(said) % 2:
        raise ValueError(f"{where}: field 'conversations' must list human and gpt in turn, got {type(said).__name__}")
    turns = []
    for human, gpt in zip(said[::2], said[1::2], strict=True):
        for entry, speaker in ((human, "human"), (gpt, "gpt")):
            if not isinstance(entry, dict) or entry.get("from") != speaker:
                raise ValueError(f"{where}: field 'conversations' has no '{speaker}' in its place; human comes first")
        question, answer = (read_text(entry, "value", f"{where} conversations") for entry in (human, gpt))
        turns.append(Turn(without_marker(question), answer))
    return tuple(turns)


def without_marker(question: str) -> str:
    """Without the image's marker and its line: the prompt says where images stand."""
    return question.replace(f"{IMAGE_MARKER}\n", "").replace(f"\n{IMAGE_MARKER}", "").replace(IMAGE_MARKER, "")


def read_text(value: Mapping[str, Any], field: str, where: str) -> str:
    if field not in value:
        raise ValueError(f"{where}: field '{field}' is missing; add it")
    if not isinstance(value[field], str):
        raise ValueError(f"{where}: field '{field}' must be text, got {type(value[field]).__name__}")
    return value[field]
