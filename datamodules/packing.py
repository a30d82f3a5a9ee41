"""Which streams share a row when they are laid end to end: bin packing, and how full the bins are."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

PACKINGS = ("none", "step", "window")

WINDOW = 1000
"""Draws that are packed together: enough for rows to be full, and few enough for an epoch's order to stay one."""


def first_fit(lengths: np.ndarray, pack_length: int) -> list[np.ndarray]:
    """Index arrays of packs of at most `pack_length` tokens: first-fit decreasing, at most 11/9 of the fewest + 1.

    `lengths` [n] are none longer. (Johnson 1973, https://hdl.handle.net/1721.1/57819.)
    """
    room = np.full(len(lengths), pack_length)
    packs: list[list[int]] = []
    for index in np.argsort(-lengths, kind="stable"):
        fits = room[: len(packs)] >= lengths[index]
        pack = int(fits.argmax()) if fits.any() else len(packs)
        if pack == len(packs):
            packs.append([])
        packs[pack].append(int(index))
        room[pack] -= lengths[index]
    return [np.array(pack) for pack in packs]


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


def windows(num: int, window: int = WINDOW) -> Iterator[slice]:
    """Consecutive stretches of `window` draws; a short one at the end joins the last."""
    count = max(1, num // window)
    for part in range(count):
        yield slice(part * window, num if part + 1 == count else (part + 1) * window)


def packing_efficiency(lengths: np.ndarray, pack_length: int, window: int = WINDOW) -> float:
    """Share of tokens that are no padding where `lengths` [draws], in their order, are packed window by window."""
    packs = sum(len(first_fit(lengths[part], pack_length)) for part in windows(len(lengths), window))
    return float(lengths.sum()) / (packs * pack_length)
