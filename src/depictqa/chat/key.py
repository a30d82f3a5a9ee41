"""The key of an API: it comes from the environment, and what a server says of it is struck out."""

from __future__ import annotations

import os
from collections.abc import Callable

NO_KEY = "none"  # what a server that needs no key is sent: the client insists on one
MIN_SECRET = 8  # characters, from which a key is struck out; shorter ones are made up


def read_key(variable: str, required: bool, group: str) -> str:
    """ValueError where it is missing and `required`, or no key at all; `group` is what messages call the options."""
    key = os.environ.get(variable, "").strip()
    if not key and required:
        raise ValueError(f"no key for the API; set {variable} in the environment ({group}.key_variable names another)")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"the key in {variable} holds a space or a character that no key has; set it again")
    return key or NO_KEY


def redactor(key: str) -> Callable[[str], str]:
    """Strikes the key out of a text."""
    return (lambda text: text.replace(key, "***")) if len(key) >= MIN_SECRET else (lambda text: text)
