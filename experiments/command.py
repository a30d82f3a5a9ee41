"""This program's own command line, for those who start it again: a sweep's jobs, and a process for each device."""

from __future__ import annotations

import re
from pathlib import Path

RUN = str(Path(__file__).resolve().parents[1] / "run.py")


def override(key: str, value: object) -> str:
    """`key=value`, whatever signs the value has."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(value))
    return f"{key}='{text}'"
