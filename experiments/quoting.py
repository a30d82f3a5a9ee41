"""Text on the command line whose signs mean something to Hydra: questions and paths need no second quotes."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TEXTS = (
    *("question", "image", "reference", "other", "checkpoint", "path", "photos", "resume", "raw", "out"),
    *("check", "sheet", "annotator", "annotations", "images"),
)
"""Keys whose value is one text, whatever signs it has."""


def override(key: str, value: object, quote: str = "'") -> str:
    """`key=value`, whatever signs the value has."""
    text = str(value).replace("${", r"\${")  # or OmegaConf puts another key's value there
    text = re.sub(rf"(\\*){quote}", rf"\1\1\\{quote}", text)
    text = re.sub(r"(\\+)\Z", r"\1\1", text)
    return f"{key}={quote}{text}{quote}"


@contextmanager
def quoted_texts() -> Iterator[None]:
    """In the block this process's command line is as Hydra reads it."""
    typed = sys.argv
    sys.argv = [*typed[:1], *quoted(typed[1:])]
    try:
        yield
    finally:
        sys.argv = typed


def quoted(words: Sequence[str]) -> list[str]:
    """The words of one run; values of `TEXTS` that Hydra cannot read, or reads as no text, are quoted for it. All that
    it reads as a text stays as it is, and so does a sweep, where commas are between values."""
    sweeps = {"-m", "--multirun"} & set(words) or any(word.startswith(("ablation=", "hydra.mode=")) for word in words)
    return list(words) if sweeps else [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    return override(key, value) if equals and key in TEXTS and not _is_text(word) else word


def _is_text(word: str) -> bool:
    try:
        read = OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return not read.is_sweep_override() and isinstance(read.value(), str | None)


def as_typed(word: str) -> str:
    """In a shell, so that Hydra reads the value of `key=value` as it stands."""
    key, _, value = word.partition("=")
    inner = override(key, value, quote='"').removeprefix(f"{key}=")
    return f"{key}={shlex.quote(inner)}"
