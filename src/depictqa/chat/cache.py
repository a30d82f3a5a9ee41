"""What an LLM has answered, kept on disk so that nothing is paid for twice: one file for each question to it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from depictqa.whole_file import write_whole


class ReplyCache:
    """Replies by what was asked. Several threads and processes may share a folder; a killed one leaves no half file.

    A file holds what was asked beside the reply, so that a text can be traced to its prompt. No key is ever in it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def get(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The reply, or None where there is none or its file is damaged."""
        try:
            found = json.loads(self._path(asked).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        matches = isinstance(found, dict) and found.get("asked") == asked and isinstance(found.get("reply"), dict)
        return found["reply"] if matches else None

    def put(self, asked: dict[str, Any], reply: dict[str, Any]) -> None:
        """Raises OSError where the disk is full or may not be written."""
        path = self._path(asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"asked": asked, "reply": reply}, ensure_ascii=False, indent=1))

    def _path(self, asked: dict[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.json"
