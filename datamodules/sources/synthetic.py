"""The embedded default: templated, detailed and external shards and a tokenizer, made from a few photos.

    build(Path("data/tiny"), seed=0)        # ten photos for training, one for validation, three for tests
    build(Path("data/mine"), photos="DIR")  # one's own photos

Every record is a function of (seed, source, split, number) alone, so a build gives the same bytes again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datamodules.records import Record
from datamodules.shards import SPLITS, ShardWriter
from datamodules.sources.photos import Photo, embedded_photos, licences, own_photos, photo_path
from datamodules.sources.recipes import Maker, plan_detailed, plan_external, plan_identification, plan_templated

SETTINGS = "synthetic.json"
SOURCES = ("templated", "detailed", "external")
TOKENIZER = "tokenizer"
CHUNK = 50  # records a job
LARGE = 2000  # training records from which starting processes pays
MIN_CROP_SIZE = 32  # px; the distortions' own limit


@dataclass(frozen=True)
class Settings:
    """How many records of each source go into train; `num_val` and `num_test` are for each source.

    `num_identification` brief questions about one image stand beside the templated comparisons, in train alone.

    `functions_per_class` of the distortions are used, the first of each class first; 6 are all.
    """

    seed: int = 0
    num_templated: int = 4600
    num_identification: int = 13500
    num_detailed: int = 4600
    num_external: int = 600
    num_val: int = 96
    num_test: int = 192
    crop_size: int = 40
    vocab_size: int = 2000
    functions_per_class: int = 1

    @property
    def num_train(self) -> int:
        return self.num_templated + self.num_identification + self.num_detailed + self.num_external

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
        raise ValueError(f"'{out}' holds something else than embedded data; move it away or choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.partial-"))
    try:
        _write(beside, table, chosen, num_workers if chosen.num_train >= LARGE else 1)
        (beside / SETTINGS).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        beside.chmod(0o755)  # mkdtemp's folders are private
        _replace(beside, out, description)
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


def _write(folder: Path, photos: tuple[Photo, ...], settings: Settings, num_workers: int) -> None:
    from depictqa.tokenizer import train_tokenizer

    texts: list[str] = []
    with _in_order(num_workers) as in_order:
        for source in SOURCES:
            for split in SPLITS:
                own = tuple(photo for photo in photos if photo.split == split)
                where = {"source": source, "licence": licences(own), "seed": settings.seed}
                with ShardWriter(folder / source, split, **where) as writer:  # type: ignore[arg-type]
                    for record in _records(source, split, own, settings, in_order):
                        writer.write(record)
                        texts += _texts(record) if split == "train" else []
    train_tokenizer(texts, folder / TOKENIZER, settings.vocab_size)


@contextmanager
def _in_order(num_workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map`, or the same by processes. Not by threads: the work is many short calls, and two were slower than one."""
    if num_workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as executor:
        yield executor.map


def _records(
    source: str, split: str, photos: tuple[Photo, ...], settings: Settings, in_order: Callable[..., Iterable[Any]]
) -> Iterator[Record]:
    """The records of a split in order, however many processes make them."""
    key = (settings.seed, SOURCES.index(source), SPLITS.index(split))
    maker = Maker(photos, split, settings.crop_size, key, settings.functions_per_class)
    plan = {"templated": plan_templated, "detailed": plan_detailed, "external": plan_external}[source]
    items = plan(settings.count(source, split), split, key)
    if source == "templated" and split == "train":
        items += plan_identification(settings.num_identification, key)
    numbers = [range(start, min(start + CHUNK, len(items))) for start in range(0, len(items), CHUNK)]
    chunks = [items[chunk.start : chunk.stop] for chunk in numbers]
    for records in in_order(maker.make_all, numbers, chunks):
        yield from records


def _texts(record: Record) -> list[str]:
    turns = [turn for sample in record.samples for turn in sample.dialogue]
    return [text for turn in turns for text in (turn.question, turn.answer)]


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
    names = [root / "sources" / f"{name}.py" for name in ("photos", "crops", "recipes", "synthetic")]
    names += [*sorted((root / "writers").glob("*.py")), *sorted((root / "distortions").glob("*.py"))]
    digest = hashlib.sha256()
    for path in names:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
