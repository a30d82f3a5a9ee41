"""Which streams share a row when they are laid end to end: bin packing, and how full the bins are."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

PACKINGS = ("none", "step", "window")

WINDOW = 1000
"""Draws that are packed together: enough for rows to be full, and few enough for an epoch's order to stay one."""


def level(lengths: np.ndarray, num_packs: int) -> list[np.ndarray]:
    """`num_packs` index arrays of near-equal sums, largest first: the longest next stream goes to the emptiest pack.

    The largest sum is at most 4/3 of the least possible. (Graham 1969, https://doi.org/10.1137/0117039.)
    """
    packs: list[list[int]] = [[] for _ in range(num_packs)]
    heap = [(0, pack) for pack in range(num_packs)]
    for index in np.argsort(-lengths, kind="stable"):
        total, pack = heap[0]
        packs[pack].append(int(index))
        heapq.heapreplace(heap, (total + int(lengths[index]), pack))
    ordered = sorted(heap, key=lambda item: (-item[0], item[1]))
    return [np.array(packs[pack], dtype=np.int64) for _, pack in ordered]


def fewest_level(lengths: np.ndarray, pack_length: int, multiple: int = 1) -> int:
    """The fewest packs, a multiple of `multiple`, that `level` fills to at most `pack_length`."""
    num_packs = -(-int(lengths.sum()) // (pack_length * multiple)) * multiple
    while max(int(lengths[pack].sum()) for pack in level(lengths, num_packs)) > pack_length:
        num_packs += multiple
    return num_packs


def even_packs(lengths: np.ndarray, pack_length: int) -> list[np.ndarray]:
    """Index arrays of packs of at most `pack_length` tokens, of near-equal sums and numbers of streams.

    `level` packs, as few as could hold all tokens, from whose fullest one streams are exchanged with the emptiest one
    until none is too full; with one pack more where that fails. First-fit decreasing needs about as many packs
    (`bench/packing.py` counts), but fills them with streams of like length: steps would differ in their tasks, and in
    their number of samples by a fifth.
    """
    num_packs = -(-int(lengths.sum()) // pack_length)
    while True:
        packs = level(lengths, num_packs)
        if _even_out(packs, lengths, pack_length):
            return packs
        num_packs += 1


def _even_out(packs: list[np.ndarray], lengths: np.ndarray, pack_length: int) -> bool:
    """Exchange streams between `packs`, in place, until none is over `pack_length`; False where that gets nowhere."""
    sums = np.array([lengths[pack].sum() for pack in packs])
    for _ in range(4 * len(packs)):
        full, empty = int(sums.argmax()), int(sums.argmin())
        if sums[full] <= pack_length:
            return True
        given, taken = lengths[packs[full]], np.append(lengths[packs[empty]], 0)  # 0: nothing in exchange
        gains = given[:, None] - taken
        best = int(np.abs(sums[full] - sums[empty] - 2 * gains).argmin())
        one, other = divmod(best, len(taken))
        gain = int(gains[one, other])
        if not 0 < gain < sums[full] - sums[empty]:
            return False
        if other == len(taken) - 1:
            packs[empty] = np.append(packs[empty], packs[full][one])
            packs[full] = np.delete(packs[full], one)
        else:
            packs[full][one], packs[empty][other] = packs[empty][other], packs[full][one]
        sums[full] -= gain
        sums[empty] += gain
    return bool(sums.max() <= pack_length)


def windows(num: int, window: int = WINDOW) -> Iterator[slice]:
    """Consecutive stretches of `window` draws; a short one at the end joins the last."""
    count = max(1, num // window)
    for part in range(count):
        yield slice(part * window, num if part + 1 == count else (part + 1) * window)


def packing_efficiency(lengths: np.ndarray, pack_length: int, window: int = WINDOW) -> float:
    """Share of tokens that are no padding where `lengths` [draws], in their order, are packed window by window."""
    packs = sum(len(even_packs(lengths[part], pack_length)) for part in windows(len(lengths), window))
    return float(lengths.sum()) / (packs * pack_length)
