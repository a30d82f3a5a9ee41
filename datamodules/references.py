"""Training on questions with a reference alone, or without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datamodules.indexed import Entry, IndexedShards
from depictqa.evaluation.samples import Subset
from depictqa.sample import Task

REFERENCES = ("all", "with", "without")


def chosen_references(shards: IndexedShards, kind: str) -> IndexedShards | SomeOfShards:
    """The samples of `shards` "with" a reference, or "without"; content descriptions, whose question has none, either
    way. ValueError where there are none."""
    if kind == "all":
        return shards
    wanted = kind == "with"
    some = [
        place
        for place, entry in enumerate(shards.entries())
        if entry.task is Task.CONTENT or entry.full_reference == wanted
    ]
    if not some:
        raise ValueError(f"'{shards.folder}' has no sample {kind} a reference; say data.references=all")
    return SomeOfShards(shards, some)


class SomeOfShards(Subset):
    """Some samples of a split, by their numbers, as data modules read all of them."""

    def __init__(self, shards: IndexedShards, numbers: Sequence[int]) -> None:
        super().__init__(shards, numbers)
        self.shards = shards
        self.folder, self.check_geometry = shards.folder, shards.check_geometry

    def entry(self, index: int) -> Entry:
        return self.shards.entry(self.indices[index])

    def entries(self) -> Iterator[Entry]:
        wanted = set(self.indices)
        return (entry for number, entry in enumerate(self.shards.entries()) if number in wanted)
