"""BAPPS' just-noticeable differences as questions: which of two patches is better, where people said if they differ."""

from __future__ import annotations

from collections.abc import Sequence

from datamodules.sources.bapps import NUM_JND_VOTES, JndPair, read_patch
from depictqa.assess import BRIEF
from depictqa.evaluation.rated_images import Entry
from depictqa.evaluation.samples import LazySamples
from depictqa.sample import Sample, Slot, Task, Truth, Turn


class JndPairs(LazySamples):
    """p0 is A, p1 is B, at `side` px (None: as filed); opened when asked for. Keys are `SUBSET/STEM`."""

    def __init__(self, pairs: Sequence[JndPair], side: int | None) -> None:
        self.pairs = pairs
        self.side = side

    def __len__(self) -> int:
        return len(self.pairs)

    def sample(self, index: int) -> Sample:
        pair, seen = self.pairs[index], self.entry(index)
        images = {Slot.A: read_patch(pair.p0, self.side), Slot.B: read_patch(pair.p1, self.side)}
        return Sample(seen.key, seen.task, images, seen.dialogue, seen.truth)

    def entry(self, index: int) -> Entry:
        pair = self.pairs[index]
        truth = Truth(same=pair.same, num_votes=NUM_JND_VOTES)
        slots = {Slot.A: 0, Slot.B: 1}
        return Entry(f"{pair.subset}/{pair.stem}", Task.COMPARISON, slots, (Turn(BRIEF),), truth)


def subset_of(key: str) -> str:
    """Of a pair, whatever was added to its key."""
    return key.partition("/")[0]
