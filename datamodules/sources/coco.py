"""MS-COCO captions as content descriptions: a record for each photo, answered by its longest caption.

    annotations/captions_{train,val}2017.json   {images: [{id, file_name}], annotations: [{id, image_id, caption}]}
    {train,val}2017/000000000009.jpg            2014: {train,val}2014/COCO_train2014_000000000009.jpg

Layout as read by public code; not tried on the original files. A photo has about five captions of one sentence that
say much the same. The longest tells most; all five would be five answers to one question.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.conversations import read_text
from datamodules.held_out import check_share, is_held_out
from datamodules.parts import Part, Rejected
from datamodules.raw import need_file, need_folder, read_image
from datamodules.records import Record, RecordSample, record_key
from datamodules.writers import pools
from depictqa.sample import Slot, Task, Turn

LICENCE = "captions CC BY 4.0 (COCO Consortium); photos under Flickr's terms, see cocodataset.org"
ORIGIN = "MS-COCO (cocodataset.org)"
SETS = ("train", "val")
YEARS = (2014, 2017)
_NAME = re.compile(r"(?:COCO_(?:train|val)\d{4}_)?(\d{12}\.jpg)")


@dataclass(frozen=True)
class Captioned:
    """A photo below the raw folder and what is said of it."""

    image: str
    caption: str


def parts(raw: Path, seed: int, year: int = 2017, sets: Sequence[str] = SETS, held_out: float = 0.01) -> list[Part]:
    """COCO's train as train and val, COCO's val as test.

    The share `held_out` of train's photos goes to `val`. A photo without a caption, a caption without its photo and a
    photo that the captions do not know are set apart. ValueError or FileNotFoundError for a file that is not there or
    of another layout, and for unknown options.
    """
    check_share(held_out)
    if year not in YEARS:
        raise ValueError(f"COCO captions of {year} are unknown; choose from {', '.join(map(str, YEARS))}")
    if not sets or not set(sets) <= set(SETS):
        raise ValueError(f"COCO sets {', '.join(sets) or 'none'} unknown; choose from {', '.join(SETS)}")
    need_folder(raw, "the folder that holds COCO's annotations, train and val")
    found: dict[str, list[Captioned | Rejected]] = {}
    for name in (name for name in SETS if name in sets):
        for item in _read_set(raw, f"{name}{year}"):
            split = "test" if name == "val" else "train"
            if isinstance(item, Captioned) and split == "train":
                split = "val" if is_held_out(photo_name(item.image), seed, held_out) else "train"
            found.setdefault(split, []).append(item)
    return [Part("external", split, items, partial(_record, raw, seed), LICENCE) for split, items in found.items()]


def photo_name(path: str) -> str:
    """A COCO photo's name without its year's prefix and folder, so that one photo has one name; others as they are."""
    match = _NAME.fullmatch(path.rpartition("/")[2])
    return match[1] if match else path


def longest(captions: Sequence[str]) -> str:
    """By words; the first of equals."""
    return max(captions, key=lambda caption: len(caption.split()))


def _read_set(raw: Path, name: str) -> Iterator[Captioned | Rejected]:
    path = need_file(raw, f"annotations/captions_{name}.json", f"captions_{name}.json", origin=ORIGIN)
    folder = next((place for place in (name, f"images/{name}") if (raw / place).is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"'{raw / name}' is missing; get it from {ORIGIN} and unpack it there (raw)")
    images, annotations = _read_json(path)
    files: dict[Any, str] = {}
    captions: dict[Any, list[tuple[int, str]]] = {}
    for number, value in enumerate(images):
        where = f"'{path}' images[{number}]"
        try:
            files[_number(value, "id", where)] = read_text(value, "file_name", where)
        except ValueError as error:
            yield Rejected(where, str(error).removeprefix(f"{where}: "))
    for number, value in enumerate(annotations):
        where = f"'{path}' annotations[{number}]"
        try:
            image, place = _number(value, "image_id", where), _number(value, "id", where)
            if image not in files:
                raise ValueError(f"field 'image_id' is {image}, which is not among the file's images")
            captions.setdefault(image, []).append((place, " ".join(read_text(value, "caption", where).split())))
        except ValueError as error:
            yield Rejected(where, str(error).removeprefix(f"{where}: "))
    for image, file in files.items():
        said = [caption for _, caption in sorted(captions.get(image, [])) if caption]
        if said:
            yield Captioned(f"{folder}/{file}", longest(said))
        else:
            yield Rejected(f"{folder}/{file}", f"has no caption in '{path}'")
    known = set(files.values())
    for file in sorted(entry.name for entry in os.scandir(raw / folder) if entry.name.lower().endswith(".jpg")):
        if file not in known:
            yield Rejected(f"{folder}/{file}", f"is not among the images of '{path}'")


def _read_json(path: Path) -> tuple[list[Any], list[Any]]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}; get it again from {ORIGIN}") from error
    for field in ("images", "annotations"):
        if not isinstance(value, dict) or not isinstance(value.get(field), list):
            raise ValueError(f"'{path}' has no list '{field}'; it is no captions file; get it again from {ORIGIN}")
    return value["images"], value["annotations"]


def _number(value: Any, field: str, where: str) -> int:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: expected an object, got {type(value).__name__}")
    if not isinstance(value.get(field), int):
        raise ValueError(f"{where}: field '{field}' is {value.get(field)!r}; a whole number stands there")
    return int(value[field])


def _record(raw: Path, seed: int, number: int, item: Captioned) -> Record:
    question = pools.content_question(np.random.default_rng([seed, number]))
    name = photo_name(item.image)
    sample = RecordSample(Task.CONTENT, (Slot.A,), (Turn(question, item.caption),))
    return Record(record_key(number, Path(name).stem), {Slot.A: read_image(raw, item.image)}, (sample,), name)
