"""A prompt's template: words around placeholders in braces, each of which must be there."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter


def fill(template: str, name: str, values: Mapping[str, str], key: str = "writer.prompts") -> str:
    """The template with `values` for its placeholders. ValueError names one that is missing or unknown, and `key`,
    the option that holds the template."""
    try:
        found = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ValueError(f"prompt '{name}': {error}; write {{{{ for a brace of the text ({key})") from None
    if unknown := sorted(found - values.keys()):
        raise ValueError(f"prompt '{name}': {{{unknown[0]}}} unknown; choose from {_braced(values)} ({key})")
    if missing := [value for value in values if value not in found]:
        raise ValueError(f"prompt '{name}' lacks {{{missing[0]}}}; it must hold {_braced(values)} ({key})")
    return template.format(**values)


def _braced(names: Mapping[str, str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
