"""Detailed descriptions in the JSON of LLaVA and LAMM: `{id, image, conversations}` objects about photos.

LLaVA's `detail_23k.json` names bare COCO files (`000000442786.jpg`); LAMM's `detailed_description_49k.json` names
them below a folder (`coco_images/000000442786.jpg`). Layouts as read by public code; not tried on the original files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.conversations import read_array, read_dialogue, read_text
from datamodules.held_out import check_share, is_held_out
from datamodules.parts import Part, Rejected
from datamodules.raw import need_folder, path_inside, read_image
from datamodules.records import Record, RecordSample, record_key
from datamodules.sources.coco import photo_name
from depictqa.sample import Slot, Task, Turn

LICENCE = "see the page of LLaVA-Instruct-150K or LAMM; texts by GPT-4, photos of MS-COCO under Flickr's terms"
ORIGIN = "LLaVA-Instruct-150K or LAMM-Dataset (its authors' pages), and the photos from MS-COCO (cocodataset.org)"
FOLDERS = (".", "images", "train2017", "images/train2017", "train2014", "val2014")


@dataclass(frozen=True)
class Described:
    """A photo below the raw folder, the name that decides its split, and the dialogues about it."""

    image: str
    photo: str
    dialogues: tuple[tuple[Turn, ...], ...]


def parts(
    raw: Path, seed: int, file: str | None = None, folders: Sequence[str] = FOLDERS, held_out: float = 0.01
) -> list[Part]:
    """The descriptions of `file` as train, and the share `held_out` of the photos as val: none is published.

    Without `file` it is the one JSON in `raw` or one folder below, or the one there whose name begins with `detail`.
    A photo is looked for in `folders`, in turn. An object that is not one, or lacks its photo, is set apart.
    ValueError or FileNotFoundError for a file that is not there or no array.
    """
    check_share(held_out)
    need_folder(raw, "the folder that holds the JSON and the photos' folder")
    path = _find(raw, file)
    dialogues: dict[str, list[tuple[Turn, ...]]] = {}
    rejected: list[Rejected] = []
    for number, value in enumerate(read_array(path, "descriptions")):
        where = f"'{path}' record {number}"
        try:
            image, dialogue = _read(raw, value, where, folders)
            dialogues.setdefault(image, []).append(dialogue)
        except (ValueError, FileNotFoundError) as error:
            rejected.append(Rejected(where, str(error).removeprefix(f"{where}: ")))
    found: dict[str, list[Described | Rejected]] = {"train": [], "val": []}
    for image, about in dialogues.items():
        split = "val" if is_held_out(photo_name(image), seed, held_out) else "train"
        found[split].append(Described(image, photo_name(image), tuple(about)))
    found["train"] += rejected
    return [Part("external", split, items, partial(_record, raw), LICENCE) for split, items in found.items() if items]


def _find(raw: Path, file: str | None) -> Path:
    if file is not None:
        path = path_inside(raw, file)
        if not path.is_file():
            raise FileNotFoundError(f"'{path}' is missing; get it from {ORIGIN} (source.file)")
        return path
    paths = sorted(raw.glob("*.json")) or sorted(raw.glob("*/*.json"))
    detailed = [path for path in paths if path.name.startswith("detail")]
    chosen = detailed or paths
    if not chosen:
        raise FileNotFoundError(f"'{raw}' holds no JSON; get it from {ORIGIN} (raw)")
    if len(chosen) > 1:
        names = ", ".join(str(path.relative_to(raw)) for path in chosen[:5])
        raise ValueError(f"'{raw}' holds {len(chosen)} JSON files: {names}; say which (source.file)")
    return chosen[0]


def _read(raw: Path, value: Any, where: str, folders: Sequence[str]) -> tuple[str, tuple[Turn, ...]]:
    """The photo's path below `raw`, and what is said of it."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, got {type(value).__name__}")
    name = read_text(value, "image", where)
    path_inside(raw, name)
    for folder in folders:
        prefixed = f"COCO_{folder}_{name}" if re.fullmatch(r"(train|val)2014", folder) else name
        for candidate in dict.fromkeys((name, prefixed)):
            place = candidate if folder == "." else f"{folder}/{candidate}"
            if path_inside(raw, place).is_file():
                return place, read_dialogue(value, where)
    raise FileNotFoundError(f"{where}: image '{name}' not found in {', '.join(folders)}; put it there (source.folders)")


def _record(raw: Path, number: int, item: Described) -> Record:
    samples = tuple(RecordSample(Task.CONTENT, (Slot.A,), dialogue) for dialogue in item.dialogues)
    key = record_key(number, Path(item.photo).stem)
    return Record(key, {Slot.A: read_image(raw, item.image)}, samples, item.photo)
