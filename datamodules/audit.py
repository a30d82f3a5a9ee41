"""What is in a folder of shards, counted and checked: sums, hashes, and images that stand on both sides of a split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from datamodules.building import in_order
from datamodules.indexed import IndexedShards, read_manifest
from datamodules.shards import SPLITS
from depictqa.sample import Sample, Slot

BRIEF = 6  # words; answers of up to that many are counted by what they say
CLEAN = "clean"


@dataclass
class Counts:
    """Of one split, or of one shard of it. Keys are plain strings and numbers, so that a page can show them."""

    records: int = 0
    tasks: Counter[tuple[str, str]] = field(default_factory=Counter)  # (task, "with" or "without" reference)
    severities: Counter[tuple[str, int]] = field(default_factory=Counter)  # (class, severity) of each assessed image
    better: Counter[str] = field(default_factory=Counter)  # of pairs: a, b, tie
    answers: Counter[str] = field(default_factory=Counter)  # brief ones
    words: Counter[int] = field(default_factory=Counter)  # answers by their number of words
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height) of images
    images: Counter[str] = field(default_factory=Counter)  # pixel hash -> times stored
    keys: dict[str, str] = field(default_factory=dict)  # pixel hash -> where it was first seen

    def add(self, other: Counts) -> None:
        self.records += other.records
        for name in ("tasks", "severities", "better", "answers", "words", "sizes", "images"):
            getattr(self, name).update(getattr(other, name))
        self.keys = other.keys | self.keys


@dataclass(frozen=True)
class Audit:
    """`manifests` and `counts` by `source/split`; `problems` are sentences, empty where all is well."""

    manifests: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, Counts]
    problems: tuple[str, ...]


def audit(root: Path, num_workers: int = 1, progress: Callable[[int, int], None] | None = None) -> Audit:
    """Reads every image of every split under `root`. `progress` is called with shards done and in all.

    FileNotFoundError where there are no shards. A damaged shard is a problem; its split is counted without it.
    """
    folders = {f"{path.parent.parent.name}/{path.parent.name}": path.parent for path in _manifests(root)}
    if not folders:
        raise FileNotFoundError(f"'{root}' holds no shards (<source>/<split>/manifest.json); give what was built")
    manifests = {place: read_manifest(folder) for place, folder in folders.items()}
    jobs = [(place, folders[place], number) for place in folders for number in range(len(manifests[place]["shards"]))]
    counts = {place: Counts() for place in folders}
    problems = []
    with in_order(num_workers if len(jobs) > 1 else 1, len(jobs)) as run:
        found = run(_count_shard, [folder for _, folder, _ in jobs], [number for *_, number in jobs])
        for done, ((place, _, _), result) in enumerate(zip(jobs, found, strict=True), start=1):
            if isinstance(result, Counts):
                counts[place].add(result)
            else:
                problems.append(f"{place}: {result}")
            if progress is not None:
                progress(done, len(jobs))
    problems += [*_shared_references(manifests), *_shared_images(counts)]
    return Audit(manifests, counts, tuple(problems))


def _manifests(root: Path) -> list[Path]:
    found = [path for split in SPLITS for path in root.glob(f"*/{split}/manifest.json")]
    return sorted(found, key=lambda path: (path.parent.parent.name, SPLITS.index(path.parent.name)))


def _count_shard(folder: Path, number: int) -> Counts | str:
    """One shard, or what is wrong with it."""
    try:
        stated = read_manifest(folder)["shards"][number]
        with open(folder / f"{stated['name']}.tar", "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != stated["sha256"]:
            wanted = stated["sha256"][:12]
            return f"{stated['name']}.tar has sha256 {found[:12]}, its manifest says {wanted}; build it again"
        counts = Counts(records=stated["records"])
        shards = IndexedShards(folder.parent, folder.name, shard=number)
        seen: set[tuple[str, Slot]] = set()
        for sample in shards:
            _count_sample(sample, counts)
            record = sample.key.rsplit("/", 1)[0]
            for slot, image in sample.images.items():
                if (record, slot) not in seen:
                    seen.add((record, slot))
                    _count_image(image, f"{record} {slot}", counts)
        return counts
    except (ValueError, OSError) as error:
        return " ".join(str(error).split())


def _count_sample(sample: Sample, counts: Counts) -> None:
    counts.tasks[str(sample.task), "with" if sample.full_reference else "without"] += 1
    for turn in sample.dialogue:
        words = len(turn.answer.split())
        counts.words[words] += 1
        if words <= BRIEF:
            counts.answers[turn.answer.strip().rstrip(".")] += 1
    if sample.task.compares:
        counts.better[str(sample.truth.better or "tie or unknown")] += 1
    for found in sample.truth.distortions.values():
        for distortion in found:
            counts.severities[distortion.name, distortion.severity] += 1
        if not found:
            counts.severities[CLEAN, 0] += 1


def _count_image(image: Image.Image, where: str, counts: Counts) -> None:
    counts.sizes[image.size] += 1
    digest = hashlib.blake2b(f"{image.size}".encode() + image.tobytes(), digest_size=12).hexdigest()
    counts.images[digest] += 1
    counts.keys.setdefault(digest, where)


def _shared_references(manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A reference that one source trains on and any source holds out."""
    for train, held_out in _sides(manifests):
        shared = sorted(set(manifests[train]["references"]) & set(manifests[held_out]["references"]))
        if shared:
            yield f"{len(shared)} references are in both {train} and {held_out}: {_some(shared)}"


def _shared_images(counts: Mapping[str, Counts]) -> Iterator[str]:
    for train, held_out in _sides(counts):
        shared = sorted(counts[train].images.keys() & counts[held_out].images.keys())
        if shared:
            pairs = [f"{counts[train].keys[digest]} = {counts[held_out].keys[digest]}" for digest in shared[:3]]
            yield f"{len(shared)} images are in both {train} and {held_out}: {_some(pairs, len(shared))}"


def _sides(places: Mapping[str, Any]) -> list[tuple[str, str]]:
    trained_on = [place for place in places if place.endswith("/train")]
    return [(train, other) for train in trained_on for other in places if not other.endswith("/train")]


def _some(names: list[str], count: int | None = None) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if (count or len(names)) > 3 else "")
