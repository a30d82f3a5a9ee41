"""What a page shows: items of one or two images, with or without a reference, from JSON lines or a folder.

JSON lines, paths relative to the file's folder:

    {"key": "000017", "images": {"reference": "ref/17.png", "a": "x/17.png", "b": "y/17.png"}}

A folder: each image in it is an item; each subfolder is one of `a.*`, and `b.*` and `reference.*` (or `ref.*`)
where there are.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from datamodules.annotations import images_from_json, read_lines
from datamodules.sources.photos import SUFFIXES
from depictqa.image import load_image
from depictqa.sample import Slot

_STEMS = {"reference": Slot.REFERENCE, "ref": Slot.REFERENCE, "a": Slot.A, "b": Slot.B}


@dataclass(frozen=True)
class Item:
    """Images by slot, as paths relative to the folder that all items share."""

    key: str
    images: Mapping[Slot, str]

    @property
    def assessed(self) -> tuple[Slot, ...]:
        """The slots that a form is filled in for."""
        return (Slot.A, Slot.B) if Slot.B in self.images else (Slot.A,)


def read_items(raw: Path | str) -> tuple[Path, list[Item]]:
    """The folder of the images, and the items. ValueError or FileNotFoundError names the line or the file."""
    raw = Path(raw)
    folder = raw if raw.is_dir() else raw.parent
    items = list(_folder_items(raw) if raw.is_dir() else _line_items(raw))
    if not items:
        raise ValueError(f"'{raw}' holds no items; give a folder of images, or lines of key and images")
    check_files(folder, items)
    return folder, items


def check_files(folder: Path, items: Iterable[Item]) -> None:
    """FileNotFoundError for the first image that is not there."""
    for item in items:
        for path in item.images.values():
            if not (folder / path).is_file():
                raise FileNotFoundError(f"item '{item.key}': image '{path}' not found in '{folder}'")


@lru_cache(maxsize=8)  # an item's images, and those of the item before
def png(path: Path) -> bytes:
    """The image as the model gets it (upright, 8-bit RGB), losslessly.

    Without its colour profile, which a browser would apply and a model does not. ValueError where it cannot be decoded.
    """
    file = io.BytesIO()
    load_image(path).save(file, "PNG", compress_level=1, icc_profile=None)
    return file.getvalue()


def _line_items(path: Path) -> Iterable[Item]:
    keys: set[str] = set()
    for where, value in read_lines(path):
        item = _item(value, where)
        if item.key in keys:
            raise ValueError(f"{where}: key '{item.key}' stands on an earlier line too; give each item its own")
        keys.add(item.key)
        yield item


def _item(value: Any, where: str) -> Item:
    if not isinstance(value, dict) or not value.keys() <= {"key", "images"}:
        raise ValueError(f"{where}: expected an object of key and images, got {value!r:.80}")
    if not isinstance(value.get("key"), str) or not value["key"]:
        raise ValueError(f"{where}: field 'key' is {value.get('key')!r}; give the item's name as text")
    if not isinstance(value.get("images"), dict) or "a" not in value["images"]:
        raise ValueError(f"{where}: field 'images' is {value.get('images')!r}; give a path for a (and reference, b)")
    return Item(value["key"], images_from_json(value["images"], where))


def _folder_items(folder: Path) -> Iterable[Item]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield Item(path.name, _slots(path))
        elif path.suffix.lower() in SUFFIXES:
            yield Item(path.name, {Slot.A: path.name})


def _slots(folder: Path) -> dict[Slot, str]:
    found: dict[Slot, str] = {}
    for path in sorted(folder.iterdir()):
        slot = _STEMS.get(path.stem.lower()) if path.suffix.lower() in SUFFIXES else None
        if slot in found:
            raise ValueError(f"folder '{folder}' holds two images for '{slot}'; keep one")
        if slot is not None:
            found[slot] = f"{folder.name}/{path.name}"
    if Slot.A not in found:
        raise ValueError(f"folder '{folder}' holds no image named a.*; add it, or move the folder away")
    return found
