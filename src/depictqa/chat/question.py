"""What an LLM is asked: words, pictures and what was said before, as messages and as what it is known by.

A question is known by what its pictures show, not by the files that they are sent as.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image

Picture = tuple[str, Image.Image]
"""What stands before a picture (empty: nothing), and the picture."""


class Question(NamedTuple):
    """`item` sets questions of the same words apart, so that each gets an answer of its own. `pictures` stand before
    the first words; `history` are the (question, answer) pairs before `prompt`."""

    prompt: str
    item: str = ""
    pictures: Sequence[Picture] = ()
    history: Sequence[tuple[str, str]] = ()

    def identity(self) -> dict[str, Any]:
        """Plain JSON, the same for the same question. Without pictures and history it has no word of them."""
        found: dict[str, Any] = {"item": self.item, "prompt": self.prompt}
        if self.pictures:
            found["images"] = [[label, digest(image)] for label, image in self.pictures]
        if self.history:
            found["history"] = [list(turn) for turn in self.history]
        return found

    def messages(self, detail: str | None = None) -> list[dict[str, Any]]:
        """In the form of the chat-completions API. `detail` says how closely a provider looks at pictures, where it
        has that choice; without it some shrink them."""
        sent: list[dict[str, Any]] = []
        for question, answer in self.history:
            sent += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        sent.append({"role": "user", "content": self.prompt})
        if self.pictures:
            sent[0]["content"] = [*self._parts(detail), {"type": "text", "text": sent[0]["content"]}]
        return sent

    def _parts(self, detail: str | None) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for label, image in self.pictures:
            if label:
                parts.append({"type": "text", "text": label})
            url = {"url": png_url(image)} | ({"detail": detail} if detail else {})
            parts.append({"type": "image_url", "image_url": url})
        return parts


def digest(image: Image.Image) -> str:
    """SHA-256 of size and pixels: the same whatever library writes the file."""
    pixels = image.convert("RGB")
    return hashlib.sha256(f"{pixels.width}x{pixels.height} ".encode() + pixels.tobytes()).hexdigest()


def png_url(image: Image.Image) -> str:
    """A `data:` URL: lossless, as compression would be taken for the image's own."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
