"""The embedded default: templated, detailed and external shards and a tokenizer, made from a few photos.

    build(Path("data/tiny"), seed=0)        # ten photos for training, one for validation, three for tests
    build(Path("data/mine"), photos="DIR")  # one's own photos

Every record is a function of (seed, source, split, number) alone, so a build gives the same bytes again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datamodules import building
from datamodules.indexed import IndexedShards
from datamodules.parts import Part
from datamodules.shards import SPLITS
from datamodules.sources.crops import Detail, Jitter
from datamodules.sources.photos import Photo, embedded_photos, licences, own_photos, photo_path
from datamodules.sources.plans import plan_detailed, plan_external, plan_identification, plan_templated
from datamodules.sources.recipes import Maker
from datamodules.writers import pools

SETTINGS = "synthetic.json"
SOURCES = ("templated", "detailed", "external")
TOKENIZER = "tokenizer"
MIN_CROP_SIZE = 32  # px; the distortions' own limit


@dataclass(frozen=True)
class Settings:
    """How many records of each source go into train; `num_val` and `num_test` are for each source.

    `num_identification` brief questions about one image stand beside the templated comparisons, in train alone.

    `functions_per_class` of the distortions are used, the first of each class first; 6 are all.
    """

    seed: int = 0
    num_templated: int = 6200
    num_identification: int = 10500
    num_detailed: int = 4300
    num_external: int = 600
    num_val: int = 96
    num_test: int = 192
    crop_size: int = 40
    vocab_size: int = 2000
    functions_per_class: int = 1

    def count(self, source: str, split: str) -> int:
        by_split = {"train": getattr(self, f"num_{source}"), "val": self.num_val, "test": self.num_test}
        return by_split[split]


def build(out: Path | str, photos: str | Path | None = None, num_workers: int = 1, **settings: Any) -> Path:
    """Write `out/{templated,detailed,external}/{train,val,test}` and `out/tokenizer`; see `Settings` for the rest.

    A folder made with the same settings, photos and code is left as it is. Otherwise a new one is made beside
    and takes the place of the old, which must be one of ours. Several builds at once do not disturb each other.
    `num_workers` above 1 are processes, spawned (the caller's script then needs its main guard), for large builds.
    Raises ValueError for impossible settings, photos that cannot be split, or a folder of something else.
    """
    out = Path(out)
    chosen = _checked(settings)
    table = embedded_photos() if photos is None else own_photos(photos, chosen.seed)
    description = {**asdict(chosen), "photos": _fingerprint(table), "code": _code_version()}
    if _is_complete(out, description):
        return out
    if out.exists() and not (out / SETTINGS).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"'{out}' holds other things than embedded data; give these another (paths.data, or out)")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.partial-"))
    try:
        made = beside / "made"
        building.build(parts(table, chosen), made, seed=chosen.seed, num_workers=num_workers, max_rejected=0)
        _train_tokenizer(made, chosen.vocab_size)
        (made / SETTINGS).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        _replace(made, out, description)
    except building.TooManyRejected as error:
        raise ValueError(error.rejected[0].reason) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return out


def _checked(settings: dict[str, Any]) -> Settings:
    known = Settings.__dataclass_fields__
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        raise ValueError(f"synthetic setting '{unknown}' unknown; choose from {', '.join(known)}")
    chosen = Settings(**settings)
    for name, value in asdict(chosen).items():
        if type(value) is not int or value < (0 if name == "seed" else 1):
            raise ValueError(f"synthetic setting '{name}' is {value!r}; give a whole number from {int(name != 'seed')}")
    if chosen.crop_size < MIN_CROP_SIZE:
        raise ValueError(f"synthetic setting 'crop_size' is {chosen.crop_size}; give at least {MIN_CROP_SIZE}")
    return chosen


def parts(photos: tuple[Photo, ...], settings: Settings) -> list[Part]:
    """All sources and splits."""
    return [_part(source, split, photos, settings) for source in SOURCES for split in SPLITS]


def _part(source: str, split: str, photos: tuple[Photo, ...], settings: Settings) -> Part:
    own = tuple(photo for photo in photos if photo.split == split)
    key = (settings.seed, SOURCES.index(source), SPLITS.index(split))
    plan = {"templated": plan_templated, "detailed": plan_detailed, "external": plan_external}[source]
    items = plan(settings.count(source, split), split, key)
    if source == "templated" and split == "train":
        items += plan_identification(settings.num_identification, key)
    view = Detail(settings.crop_size, Jitter() if split == "train" else None)
    maker = Maker(own, split, view, key, settings.functions_per_class, pools.FEW)
    return Part(source, split, items, maker.make, licences(own))


def _train_tokenizer(folder: Path, vocab_size: int) -> None:
    """On all that is said in training."""
    from depictqa.tokenizer import train_tokenizer

    shards = [IndexedShards(folder / source, "train") for source in SOURCES]
    turns = [turn for source in shards for entry in source.entries() for turn in entry.dialogue]
    train_tokenizer([text for turn in turns for text in (turn.question, turn.answer)], folder / TOKENIZER, vocab_size)


def _is_complete(out: Path, description: dict[str, Any]) -> bool:
    """Whether `out` was made with the same settings. The settings file is only ever renamed in with all the rest."""
    try:
        found = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    parts = [out / source / split / "manifest.json" for source in SOURCES for split in SPLITS]
    return found == description and all(path.is_file() for path in [*parts, out / TOKENIZER / "tokenizer.model"])


def _replace(beside: Path, out: Path, description: dict[str, Any]) -> None:
    """Put `beside` in the place of `out`, unless another build did meanwhile."""
    for _ in range(2):
        try:
            os.replace(beside, out)  # works where `out` is missing or empty
            return
        except OSError:
            if _is_complete(out, description):
                return
            old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old-"))
            os.replace(out, old)
            shutil.rmtree(old, ignore_errors=True)
    os.replace(beside, out)


def _fingerprint(photos: tuple[Photo, ...]) -> str:
    """A hash of the photos' files, splits and sentences."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(repr((photo.name, photo.split, photo.regions, photo.tints, photo.sentences)).encode())
        digest.update(photo_path(photo).read_bytes())
    return digest.hexdigest()[:16]


def _code_version() -> str:
    """A hash of the code that decides what is written: a changed wording makes a new set."""
    root = Path(__file__).resolve().parents[1]
    names = [root / "sources" / f"{name}.py" for name in ("photos", "crops", "plans", "recipes", "synthetic")]
    names += [*sorted((root / "writers").glob("*.py")), *sorted((root / "distortions").glob("*.py"))]
    digest = hashlib.sha256()
    for path in names:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
