"""The batches that need most memory of all that a token budget allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from datamodules.feed import Feed
from depictqa.batch import Batch, collate, pack
from depictqa.encode import Encoded

LOOKED_AT = 20_000  # samples, evenly chosen, among which the worst are looked for


class WorstCase:
    """Of a feed's training data: memory goes to tokens, to images, or to the tokens that are answers, so its batches
    are of the longest sample, of that with most image tokens among its own, and of that with most answer."""

    def __init__(self, feed: Feed) -> None:
        samples, lengths = feed.measured("train")
        _, held_out = feed.measured("val")
        self.packed = feed.packing != "none"
        whole = lengths.whole
        self.longest = max(int(whole.max()), int(held_out.whole.max()))
        """Tokens: no budget can be smaller."""
        self.most = max(self.longest, -(-feed.batch_size // feed.world_size) * int(whole.max()))
        """Tokens of a process's step: a larger budget changes nothing."""
        looked = np.unique(np.linspace(0, len(whole) - 1, min(len(whole), LOOKED_AT)).astype(int))
        images = 1 - lengths.text / whole
        answers = [sum(len(turn.answer) for turn in samples.entry(i).dialogue) / whole[i] for i in looked]
        worst = {int(whole.argmax()), int(images.argmax()), int(looked[int(np.argmax(answers))])}
        assert feed.encoder is not None
        self.worst = [feed.encoder.encode(samples[number]) for number in sorted(worst)]

    def batches(self, tokens: int) -> Iterator[Batch]:
        """Each sort of at most `tokens` tokens, one after the other."""
        for encoded in self.worst:
            copies = [_copy(encoded, number) for number in range(max(1, tokens // len(encoded)))]
            yield pack(copies, length=max(tokens, len(encoded))) if self.packed else collate(copies)


def _copy(encoded: Encoded, number: int) -> Encoded:
    """With images of its own: equal ones would be kept once in a batch."""
    marked = [pixels.copy() for pixels in encoded.pixels]
    for pixels in marked:
        pixels.reshape(-1)[:4] = np.array([number], dtype=">u4").view(np.uint8)
    return replace(encoded, pixels=marked)
