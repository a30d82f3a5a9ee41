"""What a source gives to be built: its splits as lists of items, and how a record is made of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.indexed import read_manifest
from datamodules.records import Record
from datamodules.shards import SPLITS


@dataclass(frozen=True)
class Rejected:
    """In the place of an item: a record that cannot be made, seen while listing. What it is, what is wrong with it."""

    name: str
    reason: str


@dataclass(frozen=True)
class Part:
    """One split of one training source.

    Record `n` is `make(n, items[n])`, and depends on nothing else: records are made by several processes, in any
    order. Both are pickled, and an item's `repr` tells all of it, so that a build that was cut knows its own again.
    `make` raises ValueError or OSError for a record that cannot be made; it is set apart.
    """

    source: str
    split: str
    items: Sequence[Any]
    make: Callable[[int, Any], Record]
    licence: str


def count_samples(root: Path) -> dict[str, int]:
    """`source/split` -> samples, by the manifests under `root`."""
    counts = {}
    for split in SPLITS:
        for path in sorted(root.glob(f"*/{split}/manifest.json")):
            counts[f"{path.parent.parent.name}/{split}"] = int(read_manifest(path.parent)["samples"])
    return counts


def is_held_out(reference: str, seed: int, share: float) -> bool:
    """Whether a reference is one of the `share` that is kept from training: a function of its name and the seed."""
    digest = hashlib.sha256(f"{seed}:{reference}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def refuse_overlap(root: Path) -> None:
    """ValueError where a reference of any source's training split is in any source's val or test split too.

    References are compared by what the source says they are and by their pixels.
    """
    references: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for split in SPLITS:
        for path in sorted(root.glob(f"*/{split}/manifest.json")):
            for reference in read_manifest(path.parent)["references"]:
                references[split].setdefault(reference, path.parent.parent.name)
    for held_out in ("test", "val"):
        shared = sorted(references["train"].keys() & references[held_out].keys())
        if shared:
            sources = f"{references['train'][shared[0]]}/train and {references[held_out][shared[0]]}/{held_out}"
            named = ", ".join(f"'{name}'" for name in shared[:5]) + (", ..." if len(shared) > 5 else "")
            raise ValueError(
                f"{len(shared)} reference images are in both {sources}: {named}; "
                f"take them out of one, or what is measured there was trained on"
            )
