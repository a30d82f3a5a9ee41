"""What the embedded data hold: for each source and split a balanced list of records to make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from datamodules.distortions import CLASSES, SEVERITIES
from datamodules.sources.recipes import Applied, Item, Pair, pair_item
from datamodules.writers import pools
from depictqa.sample import Slot, Task

CLEAN_SHARE = 0.05  # as in DQ-495K
SAME_CLASS_SHARE = 0.5  # of pairs, one class at two severities; else two classes
SINGLE_SHARE = 0.5  # of detailed records, a description of one image; else a pair to be reasoned about

_NAMES = tuple(CLASSES)
_LEVELS = tuple(combinations(SEVERITIES, 2))
_T = TypeVar("_T")


def plan_templated(count: int, split: str, key: Sequence[int]) -> list[Item]:
    """Pairs. Half have A better; half of the training questions ask for a single word, all of the others."""
    rng = np.random.default_rng([*key, 0])
    pairs = _pairs(count, rng)
    better = pools.balanced(count, rng)
    brief = pools.balanced(2 * count, rng) if split == "train" else [True] * (2 * count)
    return [
        pair_item(Task.COMPARISON, pair, a, (brief[2 * i], brief[2 * i + 1]))
        for i, (pair, a) in enumerate(zip(pairs, better, strict=True))
    ]


def plan_identification(count: int, key: Sequence[int]) -> list[Item]:
    """Single images with every class and severity equally often."""
    return _singles(Task.IDENTIFICATION, count, np.random.default_rng([*key, 2]))


def plan_detailed(count: int, split: str, key: Sequence[int]) -> list[Item]:
    """Single images with every class and severity equally often, and pairs of which half have A better."""
    rng = np.random.default_rng([*key, 0])
    num_single = round(count * SINGLE_SHARE)
    items = _singles(Task.DESCRIPTION, num_single, rng)
    better = pools.balanced(count - num_single, rng)
    for pair, a in zip(_pairs(count - num_single, rng), better, strict=True):
        items.append(pair_item(Task.REASONING, pair, a))
    return [items[i] for i in rng.permutation(count)]


def _singles(task: Task, count: int, rng: np.random.Generator) -> list[Item]:
    names, severities = _cycled(_NAMES, count, rng), _cycled(SEVERITIES, count, rng)
    clean = rng.random(count) < CLEAN_SHARE
    return [
        Item(task, {Slot.A: () if none else (Applied(name, severity),)})
        for name, severity, none in zip(names, severities, clean, strict=True)
    ]


def plan_external(count: int, split: str, key: Sequence[int]) -> list[Item]:
    """Clean crops."""
    return [Item(Task.CONTENT, {Slot.A: ()})] * count


def _pairs(count: int, rng: np.random.Generator) -> list[Pair]:
    """(better, worse): severities differ; every class is equally often the better and the worse of a pair."""
    better, worse = _cycled(_NAMES, count, rng), _cycled(_NAMES, count, rng)
    levels = _cycled(_LEVELS, count, rng)
    same, clean = rng.random(count) < SAME_CLASS_SHARE, rng.random(count) < CLEAN_SHARE
    return [
        (
            () if clean[i] else (Applied(worse[i] if same[i] else better[i], levels[i][0]),),
            (Applied(worse[i], levels[i][1]),),
        )
        for i in range(count)
    ]


def _cycled(values: Sequence[_T], count: int, rng: np.random.Generator) -> list[_T]:
    """`count` values in random order, each equally often (give or take one)."""
    return [values[int(i) % len(values)] for i in rng.permutation(count)]
